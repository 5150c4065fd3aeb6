// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// firstVersion pins what a daemon of ABI version 1 has left before flows were
// replicated, in numbers of its own: flags had one bit, and no map of replication was
// there. Its one flow for each table goes to place 3.
func firstVersion(t *testing.T, dir string) (flows []Flow) {
	t.Helper()
	if err := unix.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(name string, spec ebpf.MapSpec, key, value []byte) {
		t.Helper()
		spec.Name, spec.KeySize, spec.ValueSize = name, uint32(len(key)), uint32(len(value))
		m, err := ebpf.NewMap(&spec)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.Put(key, value); err != nil {
			t.Fatal(err)
		}
		if err := m.Pin(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	zero := make([]byte, 4)
	put("abi", ebpf.MapSpec{Type: ebpf.Array, MaxEntries: 1}, zero, []byte{1, 0, 0, 0})
	control := make([]byte, 9832)
	control[16] = 2 // self
	put("control", ebpf.MapSpec{Type: ebpf.Array, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE}, zero, control)
	for _, table := range []struct {
		name        string
		size        uint32
		proto       uint8
		client, vip string
		closing     bool
	}{
		{"tcp4", MinFlows, TCP, "198.51.100.7:40000", "192.0.2.1:80", true},
		{"tcp6", MinFlows, TCP, "[2001:db8::7]:40001", "[2001:db8::1]:80", false},
		{"udp4", MinFlows / 4, UDP, "198.51.100.8:40002", "192.0.2.1:53", false},
		{"udp6", MinFlows / 4, UDP, "[2001:db8::8]:40003", "[2001:db8::1]:53", false},
	} {
		f := Flow{
			Proto: table.proto, Client: netip.MustParseAddrPort(table.client), VIP: netip.MustParseAddrPort(table.vip),
			Place: 3, Closing: table.closing, Service: 0x0102,
		}
		key := append(f.Client.Addr().AsSlice(), f.VIP.Addr().AsSlice()...)
		key = binary.BigEndian.AppendUint16(key, f.Client.Port())
		key = binary.BigEndian.AppendUint16(key, f.VIP.Port())
		value := []byte{3, 0, 2, 1, 0, 0, 0, 0}
		if f.Closing {
			value[1] = 1
		}
		put(table.name, ebpf.MapSpec{Type: ebpf.LRUHash, MaxEntries: table.size}, key, value)
		flows = append(flows, f)
	}
	return flows
}

// TestPinsOfTheFirstVersion are taken over, flows and all, as this host's own flows, be
// it with another capacity; and what has been done to them since can be read by the
// first version again: it knows the lowest of the flags, and the layout is the same.
func TestPinsOfTheFirstVersion(t *testing.T) {
	for name, flows := range map[string]int{"same capacity": MinFlows, "another": 2 * MinFlows} {
		t.Run(name, func(t *testing.T) {
			dir := lab(t)
			left := firstVersion(t, dir)
			d := openWith(t, Options{PinDir: dir, Flows: flows})
			if got := flowsOf(t, d); !maps.Equal(got, setOf(left)) {
				t.Errorf("got\n%v, want\n%v", got, setOf(left))
			}
			if d.Self() != 2 {
				t.Errorf("this host's place is %d", d.Self())
			}
			replica := flow4(1)
			apply(t, d, Replica{Flow: replica})
			closePath(t, d)

			var value [8]byte
			m := openPinned(t, filepath.Join(dir, "tcp4"))
			if err := m.Lookup(key4(&replica), &value); err != nil || value[0] != 3 || value[1]&1 != 0 {
				t.Errorf("the first version would read % x, %v", value, err)
			}
			var version uint32
			if err := openPinned(t, filepath.Join(dir, "abi")).Lookup(uint32(0), &version); err != nil || version != 1 {
				t.Errorf("the first version would find version %d, %v", version, err)
			}
		})
	}
}

func openPinned(t *testing.T, path string) *ebpf.Map {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}
