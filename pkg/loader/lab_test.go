// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
)

// lab puts the test into a network namespace and a mount namespace of its own, and
// returns a pin directory, which does not exist yet, on a BPF filesystem. Nothing of
// it outlives the test's thread.
func lab(t testing.TB) (pinDir string) {
	t.Helper()
	nstest.Enter(t)
	mount := t.TempDir()
	privateMounts(t)
	if err := unix.Mount("bpf", mount, "bpf", 0, ""); err != nil {
		t.Fatalf("mount bpffs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount bpffs: %v", err)
		}
	})
	return filepath.Join(mount, "hafast")
}

func privateMounts(t testing.TB) {
	t.Helper()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatalf("unshare: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make mounts private: %v", err)
	}
}

// open opens a data path with small tables, and closes it after the test.
func open(t testing.TB, pinDir string) *DataPath {
	t.Helper()
	return openWith(t, Options{PinDir: pinDir, Flows: MinFlows})
}

func openWith(t testing.TB, opts Options) *DataPath {
	t.Helper()
	d, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func attach(t testing.TB, d *DataPath, name string, mode Mode) Attachment {
	t.Helper()
	a, err := d.Attach(name, mode)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func closePath(t testing.TB, d *DataPath) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// programOn is the XDP program on an interface, 0 for none.
func programOn(t testing.TB, name string) ebpf.ProgramID {
	t.Helper()
	at, err := lookUpInterface(name)
	if err != nil {
		t.Fatal(err)
	}
	return at.program
}

func programID(t testing.TB, p *ebpf.Program) ebpf.ProgramID {
	t.Helper()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return id
}

// passProgram passes everything.
func passProgram(t testing.TB, name string) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// pinsBelow lists the files below a directory, and the directories too.
func pinsBelow(t testing.TB, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		list = append(list, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func exists(t testing.TB, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err == nil
}

func flow4(port uint16) Flow {
	return Flow{
		Proto:  TCP,
		Client: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), port),
		VIP:    netip.MustParseAddrPort("192.0.2.1:80"),
		Place:  3, Service: 9,
	}
}

// flowsOf returns what is in the tables, without the time.
func flowsOf(t testing.TB, d *DataPath) map[Flow]bool {
	t.Helper()
	all := make(map[Flow]bool)
	for f, err := range d.Flows() {
		if err != nil {
			t.Fatal(err)
		}
		f.Idle = 0
		if all[f] {
			t.Errorf("%v is there twice", f)
		}
		all[f] = true
	}
	return all
}

func put(t testing.TB, d *DataPath, flows ...Flow) {
	t.Helper()
	if err := d.PutFlows(flows); err != nil {
		t.Fatal(err)
	}
}
