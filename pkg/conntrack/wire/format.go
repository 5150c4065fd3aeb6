// SPDX-License-Identifier: Apache-2.0

package wire

// FormatVersion is that of the header and the sealing. Hosts of different format
// versions cannot talk; those of different versions of parts and records agree by
// Greeting.
const FormatVersion = 1

// The versions of parts and records that this package understands.
const (
	LowestVersion  = 1
	HighestVersion = 1
)

// Sizes in bytes.
const (
	HeaderSize = 24 // of a datagram
	TagSize    = 16 // of a sealed one
	ToSize     = 8
	// PartHeaderSize comes before each part's content.
	PartHeaderSize = 4
	// BatchHeaderSize comes before a batch's groups.
	BatchHeaderSize = 12
	// maxDatagram is the largest payload of a UDP datagram over IPv4.
	maxDatagram = 65535 - ipv4Header - udpHeader
	// maxGroups is the most that the groups of a batch can be.
	maxGroups = maxDatagram - HeaderSize - TagSize - ToSize - PartHeaderSize - BatchHeaderSize

	ipv4Header = 20
	ipv6Header = 40
	udpHeader  = 8
)

// MaxBody returns the size in bytes of the largest body, `to` included, that goes into
// one packet of a network with this MTU. It is the same for datagrams that are not
// sealed.
func MaxBody(mtu int, ipv6 bool) int {
	ip := ipv4Header
	if ipv6 {
		ip = ipv6Header
	}
	return mtu - ip - udpHeader - HeaderSize - TagSize
}

// MaxGroups returns the size for a BatchWriter whose batches are to go into one packet
// each, with no other part beside them.
func MaxGroups(mtu int, ipv6 bool) int {
	return MaxBody(mtu, ipv6) - ToSize - BatchSize(nil)
}

// The header's fields: where they begin.
const (
	magic     = "hfs"
	atVersion = 3
	atKey     = 4
	atBoot    = 8
	atCounter = 16
)

// maxCounter is the last counter of a boot.
const maxCounter = 1 << 63
