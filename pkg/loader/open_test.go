// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
)

func TestReopenAdoptsMapsAndFlows(t *testing.T) {
	dir := lab(t)
	d := open(t, dir)
	want := map[string]ebpf.MapID{}
	for name, m := range d.byName() {
		id, err := mapID(m)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = id
	}
	put(t, d, flow4(1), flow4(2))
	d.RenewLease(7 * time.Second)
	d.SetGate(5, true)
	closePath(t, d)

	d = open(t, dir)
	for name, m := range d.byName() {
		if id, _ := mapID(m); id != want[name] {
			t.Errorf("%s is map %d, not %d", name, id, want[name])
		}
	}
	if got := flowsOf(t, d); !maps.Equal(got, map[Flow]bool{flow4(1): true, flow4(2): true}) {
		t.Errorf("flows are %v", got)
	}
	if d.Lease() != 7*time.Second || !d.Gate(5) || d.Gate(4) {
		t.Error("the control map has been written to")
	}
	if notes := d.Notes(); len(notes) != 0 {
		t.Errorf("an ordinary restart is not worth noting: %q", notes)
	}
}

func TestPins(t *testing.T) {
	dir := lab(t)
	d := open(t, dir)
	want := slices.Sorted(maps.Keys(d.byName()))
	want = append(want, ".", "abi", "links", "program")
	slices.Sort(want)
	got := pinsBelow(t, dir)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("pinned is\n%q, not\n%q", got, want)
	}
}

func TestWithoutPinDirNothingIsPinned(t *testing.T) {
	lab(t)
	nstest.Veth(t, "a", "b")
	d := open(t, "")
	attach(t, d, "a", ModeAuto)
	if programOn(t, "a") == 0 {
		t.Fatal("not attached")
	}
	closePath(t, d)
	if id := programOn(t, "a"); id != 0 {
		t.Errorf("program %d has outlived its process", id)
	}
}

func TestTwoProcessesDoNotShareADirectory(t *testing.T) {
	dir := lab(t)
	d := open(t, dir)
	if _, err := Open(Options{PinDir: dir, Flows: MinFlows}); !errors.Is(err, ErrBusy) {
		t.Errorf("a second one gets %v", err)
	}
	// One that ends at this moment is waited for.
	openWith(t, Options{PinDir: dir, Flows: MinFlows, Waiting: func() { closePath(t, d) }})
}

func TestRefusedLayoutIsLeftAlone(t *testing.T) {
	for name, disturb := range map[string]func(t *testing.T, dir string) (path string){
		"flow table of another layout": func(t *testing.T, dir string) string {
			return repin(t, dir, bpfMapTcp4, func(s *ebpf.MapSpec) { s.ValueSize = 16 })
		},
		"control of another layout": func(t *testing.T, dir string) string {
			return repin(t, dir, bpfMapControl, func(s *ebpf.MapSpec) { s.ValueSize += 8 })
		},
		"another version": func(t *testing.T, dir string) string {
			path := filepath.Join(dir, pinABI)
			m, err := ebpf.LoadPinnedMap(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if err := m.Put(uint32(0), uint32(abiVersion+1)); err != nil {
				t.Fatal(err)
			}
			return path
		},
		"no version": func(t *testing.T, dir string) string {
			path := filepath.Join(dir, pinABI)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return path
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := lab(t)
			nstest.Veth(t, "a", "b")
			d := open(t, dir)
			put(t, d, Flow{
				Proto: UDP, Client: netip.MustParseAddrPort("[2001:db8::7]:5"), VIP: netip.MustParseAddrPort("[2001:db8::1]:53"),
			})
			attach(t, d, "a", ModeAuto)
			closePath(t, d)
			path := disturb(t, dir)
			pinned, serving := pinsBelow(t, dir), programOn(t, "a")

			_, err := Open(Options{PinDir: dir, Flows: MinFlows})
			layout, ok := errors.AsType[*LayoutError](err)
			if !ok || !errors.Is(err, ErrLayout) {
				t.Fatalf("got %v", err)
			}
			if layout.Path != path || layout.Dir != dir || layout.Flows != 1 {
				t.Errorf("got %+v", layout)
			}
			if text := err.Error(); !strings.Contains(text, path) || !strings.Contains(text, "1 flows are lost") {
				t.Errorf("%q does not say what is lost with which pin", err)
			}
			if now := pinsBelow(t, dir); !slices.Equal(now, pinned) {
				t.Errorf("pinned was %q, and is %q", pinned, now)
			}
			if programOn(t, "a") != serving {
				t.Error("the predecessor's program does not serve any more")
			}
		})
	}
}

// repin puts a map of a changed layout in place of a pinned one.
func repin(t *testing.T, dir, name string, change func(*ebpf.MapSpec)) (path string) {
	t.Helper()
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, name)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s := spec.Maps[name].Copy()
	s.Key, s.Value = nil, nil // their BTF no longer fits
	change(s)
	m, err := ebpf.NewMap(s)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Pin(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMapsThatAreFilledAnywayAreMadeAnew(t *testing.T) {
	dir := lab(t)
	d := open(t, dir)
	put(t, d, flow4(1))
	closePath(t, d)
	repin(t, dir, bpfMapSteering, func(s *ebpf.MapSpec) { s.ValueSize = 4096 })
	repin(t, dir, bpfMapVips, func(s *ebpf.MapSpec) { s.MaxEntries = 7 })

	d = open(t, dir)
	if n := len(d.Notes()); n != 2 {
		t.Errorf("notes are %q", d.Notes())
	}
	if len(flowsOf(t, d)) != 1 {
		t.Error("the flows are gone")
	}
	closePath(t, d)
	if d = open(t, dir); len(d.Notes()) != 0 {
		t.Errorf("next time there is nothing to be done, but: %q", d.Notes())
	}
}

func TestOtherVersionWithoutFlowsIsNoLoss(t *testing.T) {
	dir := lab(t)
	closePath(t, open(t, dir))
	for _, name := range precious() {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, pinABI)); err != nil {
		t.Fatal(err)
	}
	closePath(t, open(t, dir))
	open(t, dir)
}

func TestOptionsAreChecked(t *testing.T) {
	for name, opts := range map[string]Options{
		"relative":                 {PinDir: "hafast"},
		"too small":                {Flows: MinFlows - 1},
		"too big":                  {Flows: MaxFlows + 1},
		"events in half a page":    {EventBytes: os.Getpagesize() / 2},
		"events in three pages":    {EventBytes: 3 * os.Getpagesize()},
		"too much room for events": {EventBytes: 2 * MaxEventBytes},
	} {
		if d, err := Open(opts); err == nil {
			t.Errorf("%s: opened", name)
			_ = d.Close()
		}
	}
	opts := Options{}
	if err := opts.complete(); err != nil || opts.capacity(bpfMapTcp6) != DefaultFlows || opts.capacity(bpfMapUdp6) != DefaultFlows/4 {
		t.Errorf("defaults are %+v, %v", opts, err)
	}
}

func TestPinDirMustBeOnBPFFS(t *testing.T) {
	lab(t)
	dir := filepath.Join(t.TempDir(), "hafast")
	_, err := Open(Options{PinDir: dir, Flows: MinFlows})
	if !errors.Is(err, ErrNoBPFFS) || !strings.Contains(err.Error(), "mount -t bpf") {
		t.Errorf("got %v", err)
	}
	if exists(t, dir) {
		t.Error("the directory has been made")
	}
}

func TestBPFFSIsMountedAtItsUsualPlace(t *testing.T) {
	lab(t)
	// A sysfs of this namespace, with nothing mounted below.
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/sys", unix.MNT_DETACH) })
	const dir = BPFFS + "/sub/hafast"
	d := open(t, dir)
	t.Cleanup(func() {
		_ = d.Close()
		_ = unix.Unmount(BPFFS, unix.MNT_DETACH)
	})
	if notes := d.Notes(); len(notes) != 1 || !strings.Contains(notes[0], BPFFS) {
		t.Errorf("notes are %q", notes)
	}
	if ok, err := OnBPFFS(dir); !ok || err != nil {
		t.Errorf("not on bpffs: %v", err)
	}
}

// TestSelfCheckNoticesWhatItIsFor with programs that break other people's traffic.
func TestSelfCheckNoticesWhatItIsFor(t *testing.T) {
	lab(t)
	for name, instructions := range map[string]asm.Instructions{
		"drops": {asm.Mov.Imm(asm.R0, 1), asm.Return()},
		"changes": { // clears the first byte
			asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
			asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, 1),
			asm.JGT.Reg(asm.R4, asm.R3, "end"),
			asm.StoreImm(asm.R2, 0, 0, asm.Byte),
			asm.Mov.Imm(asm.R0, 2).WithSymbol("end"),
			asm.Return(),
		},
	} {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.XDP, License: "GPL", Instructions: instructions})
		if err != nil {
			t.Fatal(err)
		}
		if err := selfCheck(p); err == nil {
			t.Errorf("a program that %s them is taken", name)
		}
		_ = p.Close()
	}
	if err := selfCheck(passProgram(t, "pass")); err != nil {
		t.Error(err)
	}
}

func TestAdoptedAfterInterruptedFirstOpen(t *testing.T) {
	dir := lab(t)
	closePath(t, open(t, dir))
	// The renaming got as far as this, and next was left over.
	for _, name := range []string{bpfMapTcp4, bpfMapVips, pinProgram} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, dirNext), 0o700); err != nil {
		t.Fatal(err)
	}
	m := passProgram(t, "left_over")
	if err := m.Pin(filepath.Join(dir, dirNext, pinProgram)); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if exists(t, filepath.Join(dir, dirNext)) || !exists(t, filepath.Join(dir, bpfMapTcp4)) {
		t.Errorf("pinned is %q", pinsBelow(t, dir))
	}
}
