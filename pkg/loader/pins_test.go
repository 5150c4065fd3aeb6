// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
)

// pinnedMap pins a map of which this version knows nothing.
func pinnedMap(t *testing.T, path string) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Pin(path); err != nil {
		t.Fatal(err)
	}
}

// TestPinsOfOtherVersionsAreRemoved: what another version has pinned goes too, be the
// data path taken down as a whole or by whoever has it open.
func TestPinsOfOtherVersionsAreRemoved(t *testing.T) {
	dir := lab(t)
	for name, remove := range map[string]func(*DataPath) error{
		"Remove":       (*DataPath).Remove,
		"RemovePinned": func(d *DataPath) error { return errors.Join(d.Close(), RemovePinned(dir)) },
	} {
		d := open(t, dir)
		pinnedMap(t, filepath.Join(dir, "of_another_version"))
		if err := remove(d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if exists(t, dir) {
			t.Errorf("%s has left something", name)
		}
	}
}

// TestPinsOfAnEmptyOtherVersion: one that has left no flows is succeeded without a
// word, and nothing of it stays.
func TestPinsOfAnEmptyOtherVersion(t *testing.T) {
	dir := lab(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "of_another_version")
	pinnedMap(t, path)
	closePath(t, open(t, dir))
	if exists(t, path) {
		t.Error("its pin is still there")
	}
}

// TestSharedRootKeepsForeignPins: where the whole filesystem is the pin directory,
// others may have their pins there.
func TestSharedRootKeepsForeignPins(t *testing.T) {
	root := filepath.Dir(lab(t))
	names := func() (found []string) {
		t.Helper()
		entries, err := os.ReadDir(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			found = append(found, e.Name())
		}
		return found
	}
	pinnedMap(t, filepath.Join(root, "theirs"))
	before := names() // the kernel has some of its own there
	closePath(t, open(t, root))
	if err := RemovePinned(root); err != nil {
		t.Error(err)
	}
	if after := names(); !slices.Equal(after, before) {
		t.Errorf("the shared directory had %q and has %q", before, after)
	}
}
