// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"

	"hafast/pkg/conntrack/record"
)

// mapped is the last four of the twelve bytes that come before an IPv4 address in a
// record.Address; the others are zero (RFC 4291 section 2.5.5.2).
const mapped = 0x0000ffff

// is4 reports whether an address travels in four bytes. It is record.Address.Is4, which
// is too slow for millions of flows.
func is4(a *record.Address) bool {
	return binary.BigEndian.Uint64(a[:8]) == 0 && binary.BigEndian.Uint32(a[8:12]) == mapped
}

// address4 is the inverse: an address from its last four bytes.
func address4(b []byte) (a record.Address) {
	binary.BigEndian.PutUint64(a[8:], mapped<<32|uint64(binary.BigEndian.Uint32(b)))
	return a
}
