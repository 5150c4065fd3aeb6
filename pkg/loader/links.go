// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// links opens the pinned links, by the index of their interface. Those whose
// interface is gone are unpinned.
func (p *pins) links() (map[int]link.Link, error) {
	dir := p.path(dirLinks)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list pinned links: %w", err)
	}
	found := make(map[int]link.Link)
	fail := func(err error) (map[int]link.Link, error) {
		for _, l := range found {
			_ = l.Close()
		}
		return nil, err
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		l, err := link.LoadPinnedLink(path, nil)
		if err != nil {
			return fail(fmt.Errorf("open the pinned link %s: %w", path, err))
		}
		ifindex, _, err := linkInfo(l)
		if err != nil {
			_ = l.Close()
			return fail(err)
		}
		if name, err := strconv.Atoi(entry.Name()); err != nil || ifindex != name {
			// The kernel has cut it off when the interface went, or renumbered it.
			err := errors.Join(detach(l), l.Close(), os.Remove(path))
			if err != nil {
				return fail(fmt.Errorf("remove a stale link: %w", err))
			}
			continue
		}
		found[ifindex] = l
	}
	return found, nil
}

// linkInfo returns the interface that a link is on, 0 if that is gone, and the
// program that it runs.
func linkInfo(l link.Link) (ifindex int, program ebpf.ProgramID, err error) {
	info, err := l.Info()
	if err != nil {
		return 0, 0, fmt.Errorf("read a link: %w", err)
	}
	xdp := info.XDP()
	if xdp == nil {
		return 0, 0, errors.New("the pinned link is not one of XDP")
	}
	return int(xdp.Ifindex), info.Program, nil
}

// detach takes the program off the interface at once, whoever else holds the link:
// unpinning and closing would leave that to a worker of the kernel's.
func detach(l link.Link) error {
	if err := l.Detach(); err != nil {
		return fmt.Errorf("detach the program: %w", err)
	}
	return nil
}

// running is a flow table of a program that serves.
type running struct {
	name  string
	table *ebpf.Map
}

// tablesInUse are the flow tables of the program that a link runs which are not among
// ours. A program with another control map has none: the places in its flows mean
// something else.
func tablesInUse(l link.Link, ours map[string]*ebpf.Map) (found []running, err error) {
	defer func() {
		if err != nil {
			closeRunning(found)
			found = nil
		}
	}()
	_, programID, err := linkInfo(l)
	if err != nil {
		return nil, err
	}
	program, err := ebpf.NewProgramFromID(programID)
	if err != nil {
		return nil, fmt.Errorf("open the running program: %w", err)
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return nil, fmt.Errorf("read the running program: %w", err)
	}
	ids, _ := info.MapIDs()
	control, err := mapID(ours[bpfMapControl])
	if err != nil || !slices.Contains(ids, control) {
		return nil, err
	}
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return found, fmt.Errorf("open a map of the running program: %w", err)
		}
		name, err := foreignTable(m, id, ours)
		if err != nil || name == "" {
			_ = m.Close()
			if err != nil {
				return found, err
			}
			continue
		}
		found = append(found, running{name, m})
	}
	return found, nil
}

// foreignTable returns the name of a flow table that is not ours, and an empty one for
// any other map.
func foreignTable(m *ebpf.Map, id ebpf.MapID, ours map[string]*ebpf.Map) (string, error) {
	info, err := m.Info()
	if err != nil {
		return "", fmt.Errorf("read a map of the running program: %w", err)
	}
	if !slices.Contains(flowTables(), info.Name) {
		return "", nil
	}
	our := ours[info.Name]
	same, err := mapID(our)
	if err != nil || same == id || m.KeySize() != our.KeySize() || m.ValueSize() != our.ValueSize() {
		return "", err
	}
	return info.Name, nil
}

func closeRunning(list []running) {
	for _, r := range list {
		_ = r.table.Close()
	}
}

func mapID(m *ebpf.Map) (ebpf.MapID, error) {
	info, err := m.Info()
	if err != nil {
		return 0, fmt.Errorf("read a map: %w", err)
	}
	id, ok := info.ID()
	if !ok {
		return 0, fmt.Errorf("this kernel does not number maps: hafast needs Linux %d.%d", FloorMajor, FloorMinor)
	}
	return id, nil
}
