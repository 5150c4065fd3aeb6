// SPDX-License-Identifier: Apache-2.0

package cost

import (
	"errors"
	"fmt"

	"hafast/pkg/loader"
)

// Memory is what the maps take of the kernel's memory, in bytes, as it reckons itself.
type Memory struct {
	Flows  int               `json:"flows"` // loader.Options
	Tables map[string]uint64 `json:"tables"`
	Others uint64            `json:"others"`
}

// memoryOf loads a data path with room for so many flows and asks the kernel.
func memoryOf(flows int) (m Memory, err error) {
	d, err := loader.Open(loader.Options{Flows: flows})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	m = Memory{Flows: flows, Tables: make(map[string]uint64)}
	size := func(name string) (uint64, error) {
		info, err := d.Map(name).Info()
		if err != nil {
			return 0, fmt.Errorf("ask for the map %s: %w", name, err)
		}
		n, ok := info.Memlock()
		if !ok {
			return 0, fmt.Errorf("the kernel does not say what the map %s takes", name)
		}
		return n, nil
	}
	for _, name := range []string{"tcp4", "tcp6", "udp4", "udp6"} {
		if m.Tables[name], err = size(name); err != nil {
			return m, err
		}
	}
	for _, name := range []string{"control", "steering", "sessions", "witness", "counters", "vips", "locals", "peers", "events", "listener", "traffics", "replicas"} {
		n, err := size(name)
		if err != nil {
			return m, err
		}
		m.Others += n
	}
	return m, nil
}

// total is of all maps.
func (m Memory) total() uint64 {
	sum := m.Others
	for _, n := range m.Tables {
		sum += n
	}
	return sum
}
