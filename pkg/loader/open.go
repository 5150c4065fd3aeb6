// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

// DataPath is the loaded program with its maps.
type DataPath struct {
	kernel   kernel
	program  *ebpf.Program
	maps     bpfMaps
	control  *memory[bpfControl]
	steering *memory[bpfSteering]
	sessions *memory[bpfSession]
	legs     *memory[bpfLeg]
	witness  *memory[bpfWitness]
	ticks    *ticks
	events   *events
	replicas *replicator

	// mu guards all below, and changes of several entries together.
	mu         sync.Mutex
	pins       *pins // nil: nothing is pinned
	links      map[int]*attached
	migrations []*migration
	scratch    *packer
	notes      []string
	closed     bool
}

// Open loads the program and its maps, adopts what a predecessor has left in the pin
// directory, and checks that the program lets other people's traffic pass. No packet
// meets the new program before Attach; until then a predecessor's serves on.
//
// Lease, gates, targets and flows are as the predecessor has left them. All else the
// caller sets before it attaches, since maps may have been made anew; and each gate
// before it renews the lease, since gates that were open would be in force again.
//
// Errors that a caller may want to tell apart: ErrLayout, ErrBusy, ErrNoBPFFS, and a
// *RefusedError, which says why the kernel takes no such program.
func Open(opts Options) (_ *DataPath, err error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, explainMemlock(err, readConfinement())
	}
	d := &DataPath{links: make(map[int]*attached), scratch: new(packer)}
	defer func() {
		if err != nil {
			_ = d.Close()
		}
	}()
	if opts.PinDir != "" {
		mounted, err := ensureBPFFS(opts.PinDir)
		if err != nil {
			return nil, err
		}
		if mounted {
			d.note("mounted the BPF filesystem at %s", BPFFS)
		}
		if d.pins, err = openPins(opts.PinDir, busyPatience, opts.Waiting); err != nil {
			return nil, err
		}
	}
	if d.ticks, err = newTicks(); err != nil {
		return nil, refused(err)
	}
	if d.kernel, err = probeKernel(); err != nil {
		return nil, refused(err)
	}
	if d.kernel.jit, err = compiled(d.ticks.program); err != nil {
		return nil, err
	}
	spec, err := d.kernel.loadSpec()
	if err != nil {
		return nil, err
	}
	for _, name := range flowTables() {
		spec.Maps[name].MaxEntries = opts.capacity(name)
	}
	if opts.floor() > opts.Flows {
		d.note("the flow tables have room for %d flows instead of %d: this machine can have %d processors, and each holds some entries back as free",
			opts.floor(), opts.Flows, opts.cpus)
	}
	spec.Maps[bpfMapEvents].MaxEntries = uint32(opts.EventBytes)
	if err := d.load(spec); err != nil {
		return nil, err
	}
	return d, nil
}

// load brings program and maps into the kernel: new ones, or the predecessor's.
func (d *DataPath) load(spec *ebpf.CollectionSpec) error {
	in := &inheritance{}
	if d.pins != nil {
		var err error
		if in, err = inherit(d.pins.dir, spec); err != nil {
			return err
		}
	}
	defer in.close()
	adopt, copied, err := in.judge(d.pins.directory(), spec)
	if err != nil {
		return err
	}

	objects, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: adopt})
	if err != nil {
		return refused(err)
	}
	defer objects.Close()
	if err := objects.Assign(&d.maps); err != nil {
		return fmt.Errorf("load the XDP program: %w", err)
	}
	d.program = objects.DetachProgram(bpfProgHafast)
	if d.replicas, err = newReplicator(objects.DetachProgram(bpfProgReplicate), d.maps.Replicas); err != nil {
		return err
	}
	if err := d.mapAll(); err != nil {
		return err
	}
	if err := selfCheck(d.program); err != nil {
		return err
	}
	if d.pins == nil {
		return nil
	}
	if err := d.findLinks(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(copied)) {
		if err := d.migrate(name, copied[name]); err != nil {
			return err
		}
	}
	return d.stage(in, adopt)
}

// mapAll maps the maps that are written or read without system calls.
func (d *DataPath) mapAll() (err error) {
	if d.control, err = mapMemory[bpfControl](d.maps.Control); err != nil {
		return err
	}
	if d.steering, err = mapMemory[bpfSteering](d.maps.Steering); err != nil {
		return err
	}
	if d.sessions, err = mapMemory[bpfSession](d.maps.Sessions); err != nil {
		return err
	}
	if d.legs, err = mapMemory[bpfLeg](d.maps.Legs); err != nil {
		return err
	}
	if d.witness, err = mapMemory[bpfWitness](d.maps.Witness); err != nil {
		return err
	}
	d.events, err = newEvents(d.maps.Events, d.maps.Listener)
	return err
}

// findLinks takes stock of the attachments that a predecessor has left, and of the
// flows that its program keeps in tables which were never pinned in their place.
func (d *DataPath) findLinks() error {
	links, err := d.pins.links()
	if err != nil {
		return err
	}
	for ifindex, l := range links {
		d.links[ifindex] = &attached{
			Attachment: Attachment{Interface: interfaceName(ifindex), Index: ifindex, Adopted: true},
			link:       l,
		}
	}
	for _, a := range d.links {
		tables, err := tablesInUse(a.link, d.byName())
		if err != nil {
			return err
		}
		for _, t := range tables {
			err := d.migrate(t.name, t.table)
			_ = t.table.Close()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// migrate begins to copy the flows of a table that goes out of use.
func (d *DataPath) migrate(name string, from *ebpf.Map) error {
	id, err := mapID(from)
	if err != nil {
		return err
	}
	for _, m := range d.migrations {
		if m.id == id {
			return nil // found twice
		}
	}
	kept, err := from.Clone()
	if err != nil {
		return fmt.Errorf("keep the table %s: %w", name, err)
	}
	m := &migration{name: name, id: id, from: kept, to: d.byName()[name]}
	d.migrations = append(d.migrations, m)
	n, err := m.first(d.ticks)
	if err != nil {
		return err
	}
	d.note("%s: copied %d flows from a table for %d to one for %d", name, n, from.MaxEntries(), m.to.MaxEntries())
	return nil
}

// stage pins what is new. With nothing attached, it is in force at once.
func (d *DataPath) stage(in *inheritance, adopt map[string]*ebpf.Map) error {
	fresh := make(map[string]*ebpf.Map)
	for name, m := range d.byName() {
		if adopt[name] == nil {
			fresh[name] = m
		}
	}
	var abi *ebpf.Map
	if in.abi != abiVersion {
		var err error
		if abi, err = newABIMap(); err != nil {
			return err
		}
		defer abi.Close()
		// Should the renaming be interrupted, nothing of the other version may be
		// found beside the new one.
		others, err := d.pins.objects()
		if err := errors.Join(err, removePins(d.pins.dir, others...)); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fresh)) {
		if in.maps[name] != nil && !slices.Contains(flowTables(), name) {
			d.note("%s: made anew, the predecessor's has another layout", name)
		}
	}
	if err := stageAll(d.pins, abi, fresh, d.program); err != nil {
		return err
	}
	if d.predecessorServes() {
		return nil // Attach does the rest
	}
	d.endMigrations()
	return d.pins.commit()
}

// byName are the maps that are pinned, by their names in the program. The others mean
// something to this process alone: who reads its events, writes its records, or knows
// what its numbers of services are.
func (d *DataPath) byName() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		bpfMapControl: d.maps.Control, bpfMapSteering: d.maps.Steering, bpfMapSessions: d.maps.Sessions,
		bpfMapWitness: d.maps.Witness, bpfMapCounters: d.maps.Counters, bpfMapVips: d.maps.Vips,
		bpfMapLocals: d.maps.Locals, bpfMapPeers: d.maps.Peers, bpfMapTcp4: d.maps.Tcp4,
		bpfMapMacs: d.maps.Macs, bpfMapTcp6: d.maps.Tcp6, bpfMapUdp4: d.maps.Udp4, bpfMapUdp6: d.maps.Udp6,
	}
}

// Lacks is what the running kernel has not and the data path does without.
func (d *DataPath) Lacks() []Lack { return d.kernel.lacks() }

// Program is the loaded program, for test-runs.
func (d *DataPath) Program() *ebpf.Program { return d.program }

// Map is one of the maps of bpf/maps.h by its name, nil if there is none: for tests
// and benches.
func (d *DataPath) Map(name string) *ebpf.Map {
	switch name {
	case bpfMapEvents:
		return d.maps.Events
	case bpfMapLegs:
		return d.maps.Legs
	case bpfMapListener:
		return d.maps.Listener
	case bpfMapReplicas:
		return d.maps.Replicas
	case bpfMapTraffics:
		return d.maps.Traffics
	}
	return d.byName()[name]
}

// Notes is what has been done on the way that an administrator may want to know.
func (d *DataPath) Notes() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.notes)
}

func (d *DataPath) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// Close lets go of the data path: what is pinned goes on serving, and is fenced when
// the lease ends. If Attach has not been called, a predecessor's program serves on as
// it did. Without a pin directory, everything ends.
func (d *DataPath) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.close()
}

func (d *DataPath) close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	var err error
	if d.pins != nil {
		err = d.pins.discard()
		d.pins.close()
	}
	for _, a := range d.links {
		err = errors.Join(err, a.link.Close())
	}
	d.endMigrations()
	if d.ticks != nil {
		d.ticks.close()
	}
	if d.events != nil {
		err = errors.Join(err, d.events.close())
	}
	if d.replicas != nil {
		err = errors.Join(err, d.replicas.close())
	}
	if d.program != nil {
		err = errors.Join(err, d.program.Close(), d.maps.Close())
	}
	if err != nil {
		return fmt.Errorf("close the data path: %w", err)
	}
	return nil
}

// Remove takes the data path down: it detaches the program from all interfaces,
// removes all pins and the directory, and closes.
func (d *DataPath) Remove() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	var err error
	for _, a := range d.links {
		err = errors.Join(err, detach(a.link))
	}
	if d.pins != nil {
		err = errors.Join(err, d.pins.removeAll())
	}
	return errors.Join(err, d.close())
}
