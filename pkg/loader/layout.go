// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
)

// flowTables are the maps that remember flows.
func flowTables() []string {
	return []string{bpfMapTcp4, bpfMapTcp6, bpfMapUdp4, bpfMapUdp6}
}

// precious maps hold what the daemon could not write again: places of targets, and
// the flows that name them.
func precious() []string {
	return append([]string{bpfMapControl}, flowTables()...)
}

// inheritance is what a predecessor has left in the pin directory.
type inheritance struct {
	maps map[string]*ebpf.Map // by pin
	abi  uint32               // 0: not recorded
}

func (in *inheritance) close() {
	for _, m := range in.maps {
		_ = m.Close()
	}
}

// inherit opens the pinned maps that the program has, and reads the ABI version.
func inherit(dir string, spec *ebpf.CollectionSpec) (*inheritance, error) {
	in := &inheritance{maps: make(map[string]*ebpf.Map)}
	for name := range spec.Maps {
		if isConstants(name) {
			continue
		}
		m, err := loadPinnedMap(filepath.Join(dir, name))
		if err != nil {
			in.close()
			return nil, err
		}
		if m != nil {
			in.maps[name] = m
		}
	}
	m, err := loadPinnedMap(filepath.Join(dir, pinABI))
	if err != nil {
		in.close()
		return nil, err
	}
	if m != nil {
		defer m.Close()
		if err := m.Lookup(uint32(0), &in.abi); err != nil {
			in.close()
			return nil, fmt.Errorf("read the ABI version from %s: %w", filepath.Join(dir, pinABI), err)
		}
	}
	return in, nil
}

// loadPinnedMap returns nil if there is no such pin.
func loadPinnedMap(path string) (*ebpf.Map, error) {
	m, err := ebpf.LoadPinnedMap(path, nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("open the pinned map %s: %w", path, err)
	}
	return m, nil
}

// judge says which of the inherited maps are adopted, and which flow tables are to be
// copied because their capacity is another. All others are made anew. It fails with
// a LayoutError if that would lose what cannot be written again.
func (in *inheritance) judge(dir string, spec *ebpf.CollectionSpec) (adopt, copied map[string]*ebpf.Map, err error) {
	adopt, copied = make(map[string]*ebpf.Map), make(map[string]*ebpf.Map)
	refuse := func(pin, found, expected string) error {
		return &LayoutError{Dir: dir, Path: filepath.Join(dir, pin), Found: found, Expected: expected, Flows: in.flows()}
	}
	if in.abi != abiVersion {
		for _, name := range precious() {
			if in.maps[name] == nil {
				continue
			}
			found := fmt.Sprintf("ABI version %d", in.abi)
			if in.abi == 0 {
				found = "no ABI version"
			}
			return nil, nil, refuse(pinABI, found, fmt.Sprintf("version %d", abiVersion))
		}
		return adopt, copied, nil
	}
	for _, name := range precious() {
		m := in.maps[name]
		if m == nil {
			continue
		}
		want := spec.Maps[name].Copy()
		if name != bpfMapControl {
			want.MaxEntries = m.MaxEntries()
		}
		if want.Compatible(m) != nil {
			return nil, nil, refuse(name, describe(m.Type(), m.KeySize(), m.ValueSize(), m.MaxEntries(), m.Flags()),
				describe(want.Type, want.KeySize, want.ValueSize, want.MaxEntries, want.Flags))
		}
	}
	for name, m := range in.maps {
		if spec.Maps[name].Compatible(m) == nil {
			adopt[name] = m
		} else if slices.Contains(flowTables(), name) {
			copied[name] = m
		}
	}
	return adopt, copied, nil
}

// flows is how many flows there are, for a message.
func (in *inheritance) flows() (n int) {
	for _, name := range flowTables() {
		if m := in.maps[name]; m != nil {
			k, _ := countEntries(m)
			n += k
		}
	}
	return n
}

func describe(typ ebpf.MapType, key, value, entries, flags uint32) string {
	return fmt.Sprintf("a %v with keys of %d and values of %d bytes, %d entries and flags %#x", typ, key, value, entries, flags)
}

// newABIMap makes the map that records the ABI version.
func newABIMap() (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "hafast_abi", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("create the map of the ABI version: %w", err)
	}
	if err := m.Put(uint32(0), uint32(abiVersion)); err != nil {
		_ = m.Close()
		return nil, fmt.Errorf("record the ABI version: %w", err)
	}
	return m, nil
}

// removePins removes the named pins.
func removePins(dir string, names ...string) error {
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a pin: %w", err)
		}
	}
	return nil
}
