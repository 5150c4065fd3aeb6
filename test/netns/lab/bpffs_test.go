// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sharedBPFFS is a place of the test's own for a BPF file system, and its lock.
func sharedBPFFS(t *testing.T) (dir, lock string) {
	t.Helper()
	SkipUnlessRoot(t)
	dir, lock = t.TempDir(), t.TempDir()
	t.Cleanup(func() {
		if isBPFFS(dir) {
			t.Error("it is still mounted")
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
	return dir, lock
}

func use(t *testing.T, dir, lock string) *bpffs {
	t.Helper()
	b, err := useBPFFS(dir, lock)
	if err != nil {
		t.Fatal(err)
	}
	if !isBPFFS(dir) {
		t.Fatal("nothing is mounted")
	}
	return b
}

func release(t *testing.T, b *bpffs) {
	t.Helper()
	if err := b.release(); err != nil {
		t.Fatal(err)
	}
}

func TestTheLastLabUnmounts(t *testing.T) {
	dir, lock := sharedBPFFS(t)
	first, second := use(t, dir, lock), use(t, dir, lock)
	release(t, first)
	if !isBPFFS(dir) {
		t.Fatal("unmounted while another lab lives")
	}
	release(t, second)
	if isBPFFS(dir) {
		t.Error("the last lab left it mounted")
	}
}

func TestWhatOthersPinnedKeepsTheMount(t *testing.T) {
	dir, lock := sharedBPFFS(t)
	theirs := filepath.Join(dir, "somebody")
	b := use(t, dir, lock)
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	release(t, b)
	if !isBPFFS(dir) {
		t.Fatal("unmounted with somebody's directory in it")
	}
	if err := os.Remove(theirs); err != nil {
		t.Fatal(err)
	}
	release(t, use(t, dir, lock))
}

func TestTheMachinesOwnMountStays(t *testing.T) {
	dir, lock := sharedBPFFS(t)
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	release(t, use(t, dir, lock))
	if !isBPFFS(dir) {
		t.Error("the lab unmounted what it had not mounted")
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
}

// attached reports whether an XDP program is on the host's interface.
func attached(t *testing.T, h *Host) bool {
	t.Helper()
	var on bool
	if err := h.withLink(Interface, func(link netlink.Link) error {
		on = link.Attrs().Xdp != nil && link.Attrs().Xdp.Attached
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return on
}

// TestResetEndsTheDataPath leaves on a host what a killed daemon leaves there, in
// every way a program can hang on an interface.
func TestResetEndsTheDataPath(t *testing.T) {
	l := ForTest(t, Options{})
	a, _ := l.Pair()
	prog := func() *ebpf.Program {
		p, err := newPassProgram()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}()
	byNetlink := func(mode int) func() error {
		return func() error {
			return a.withLink(Interface, func(l netlink.Link) error { return netlink.LinkSetXdpFdWithFlags(l, prog.FD(), mode) })
		}
	}
	tests := []struct {
		name   string
		attach func() error
	}{
		{"by a pinned link", func() error {
			return a.withLink(Interface, func(nl netlink.Link) error {
				hook, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: nl.Attrs().Index})
				if err != nil {
					return err
				}
				defer hook.Close()
				return hook.Pin(filepath.Join(a.BPFDir(), "link"))
			})
		}},
		{"by netlink, native", byNetlink(unix.XDP_FLAGS_DRV_MODE)},
		{"by netlink, generic", byNetlink(unix.XDP_FLAGS_SKB_MODE)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.MkdirAll(a.BPFDir(), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := tt.attach(); err != nil {
				t.Fatal(err)
			}
			if !attached(t, a) {
				t.Fatal("the program is not there to begin with")
			}
			if err := a.Reset(); err != nil {
				t.Fatal(err)
			}
			if attached(t, a) {
				t.Error("the program is still on eth0")
			}
			if _, err := os.Stat(a.BPFDir()); err == nil {
				t.Error("the pins are still there")
			}
		})
	}
}

func TestReapRemovesPinsOfTheDeadOnly(t *testing.T) {
	l := ForTest(t, Options{})
	a, _ := l.Pair()
	dead := filepath.Join(bpffsDir, namePrefix+strconv.Itoa(goneProcess(t))+"-1-x")
	for _, dir := range []string{dead, a.BPFDir()} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := Reap(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("the pins of a dead lab are still there")
	}
	if _, err := os.Stat(a.BPFDir()); err != nil {
		t.Error("the pins of a living lab are gone")
	}
}
