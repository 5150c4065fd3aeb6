// SPDX-License-Identifier: Apache-2.0

package cost

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"

	"hafast/pkg/loader"
	"hafast/test/program/rig"
)

// harness is a world, and programs that run in it on varied frames.
type harness struct {
	*rig.World
	recipes *ebpf.Map
	floor   floorPrograms
	callers map[*ebpf.Program]*caller
	// common maps: the data path's, and the recipe.
	common map[string]*ebpf.Map
	close  []func() error
	frame  []byte
}

// caller is vary with something to call.
type caller struct {
	objects struct {
		Vary   *ebpf.Program `ebpf:"vary"`
		Callee *ebpf.Map     `ebpf:"callee"`
	}
}

// eventBytes is room for the events of a run that stores flows, with 200 k packets and
// more to a round.
const eventBytes = 1 << 22

// newHarness loads all of it into a world with room for so many flows.
func newHarness(flows int) (_ *harness, err error) {
	h := &harness{callers: make(map[*ebpf.Program]*caller), common: make(map[string]*ebpf.Map)}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	w, err := rig.New(loader.Options{Flows: flows, EventBytes: eventBytes})
	if err != nil {
		return nil, err
	}
	h.World = w
	h.close = append(h.close, w.Close)
	spec, err := loadFloor()
	if err != nil {
		return nil, err
	}
	for name := range spec.Maps {
		if m := w.Map(name); m != nil {
			h.common[name] = m
			spec.Maps[name].MaxEntries = m.MaxEntries() // flow tables are as large as was asked for
		}
	}
	if h.recipes, err = ebpf.NewMap(spec.Maps["recipes"]); err != nil {
		return nil, fmt.Errorf("make the recipe's map: %w", err)
	}
	h.close = append(h.close, h.recipes.Close)
	h.common["recipes"] = h.recipes
	if err := spec.LoadAndAssign(&h.floor, &ebpf.CollectionOptions{MapReplacements: h.common}); err != nil {
		return nil, fmt.Errorf("load the floors: %w", err)
	}
	h.close = append(h.close, h.floor.Close)
	return h, nil
}

// Close ends all of it.
func (h *harness) Close() error {
	var err error
	for i := len(h.close) - 1; i >= 0; i-- {
		err = errors.Join(err, h.close[i]())
	}
	return err
}

// caller returns vary that calls p. Each has a table for its tail call, whose one
// entry is never changed: the kernel then makes a plain jump of it.
func (h *harness) caller(p *ebpf.Program) (*caller, error) {
	if c := h.callers[p]; c != nil {
		return c, nil
	}
	spec, err := loadFloor()
	if err != nil {
		return nil, err
	}
	c := new(caller)
	own := map[string]*ebpf.Map{"recipes": h.recipes}
	if err := spec.LoadAndAssign(&c.objects, &ebpf.CollectionOptions{MapReplacements: own}); err != nil {
		return nil, fmt.Errorf("load vary: %w", err)
	}
	h.close = append(h.close, c.objects.Vary.Close, c.objects.Callee.Close)
	if err := c.objects.Callee.Put(uint32(0), p); err != nil {
		return nil, fmt.Errorf("set what vary calls: %w", err)
	}
	h.callers[p] = c
	return c, nil
}

// traffic is the packets of a run.
type traffic struct {
	frame   []byte
	ipv6    bool
	first   uint32 // the last word of the first client's address
	clients uint32
	inTurn  bool // else at random
}

// set makes it what is run from now on.
func (h *harness) set(t traffic) error {
	r := floorRecipe{First: t.first, Clients: t.clients, State: 0x2545f491}
	if t.ipv6 {
		r.Ipv6 = 1
	}
	if t.inTurn {
		r.InTurn, r.State = 1, 0
	}
	room := unsafe.Slice((*byte)(unsafe.Pointer(&r.Frame)), unsafe.Sizeof(r.Frame))
	if len(t.frame) > len(room) {
		return fmt.Errorf("a frame of %d bytes, there is room for %d", len(t.frame), len(room))
	}
	copy(room, t.frame)
	h.frame = make([]byte, len(room))
	if err := h.recipes.Put(uint32(0), &r); err != nil {
		return fmt.Errorf("set the recipe: %w", err)
	}
	return nil
}

// run runs n packets and returns the last one's verdict and the nanoseconds of each.
func (h *harness) run(p *ebpf.Program, n int) (v rig.Verdict, each time.Duration, err error) {
	c, err := h.caller(p)
	if err != nil {
		return 0, 0, err
	}
	// A signal ends a test-run early, and it is begun again; the collector sends some.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var ret uint32
	h.Do(func() { ret, each, err = c.objects.Vary.Benchmark(h.frame, n, nil) })
	if err != nil {
		return 0, 0, err
	}
	return rig.Verdict(ret), each, nil
}
