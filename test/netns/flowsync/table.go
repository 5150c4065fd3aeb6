// SPDX-License-Identifier: Apache-2.0

package flowsync

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// Layout of a flow table (bpf/abi.h, struct flow4_key and struct flow). The measurement
// reads the tables by itself, and not with what it measures.
type (
	flowKey   [12]byte // client, VIP, client's port, VIP's port
	flowValue [8]byte
)

// readBatch is how many entries are read by one system call; more than a bucket has.
const readBatch = 4096

// table is a flow table that a host's daemon has pinned.
type table struct {
	m *ebpf.Map
	// to is the VIP's part of the keys.
	to netip.AddrPort
}

// openTable opens that of a protocol, of IPv4.
func openTable(h *lab.Host, proto uint8, vip netip.AddrPort) (*table, error) {
	name := map[uint8]string{unix.IPPROTO_TCP: "tcp4", unix.IPPROTO_UDP: "udp4"}[proto]
	m, err := ebpf.LoadPinnedMap(filepath.Join(h.BPFDir(), name), &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("flows of %s: %w", h.Name, err)
	}
	return &table{m: m, to: vip}, nil
}

func (t *table) close() { _ = t.m.Close() }

// has reports whether the client's flow is there.
func (t *table) has(c client) (bool, error) {
	var key flowKey
	copy(key[0:], c.addr[:])
	vip := t.to.Addr().As4()
	copy(key[4:], vip[:])
	binary.BigEndian.PutUint16(key[8:], c.port)
	binary.BigEndian.PutUint16(key[10:], t.to.Port())
	var value flowValue
	err := t.m.Lookup(&key, &value)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return false, nil
	}
	return err == nil, err
}

// count is how many flows are there. It visits each: some 0.2 s for a million.
func (t *table) count() (n int, err error) {
	var cursor ebpf.MapBatchCursor
	keys, values := make([]flowKey, readBatch), make([]flowValue, readBatch)
	for {
		some, err := t.m.BatchLookup(&cursor, keys, values, nil)
		n += some
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("count flows: %w", err)
		}
	}
}
