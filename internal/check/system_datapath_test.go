// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	xdplink "github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
)

// bpfDir mounts a BPF file system that only this test's thread sees.
func bpfDir(t *testing.T) string {
	t.Helper()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatalf("unshare: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make mounts private: %v", err)
	}
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func passProgram(t *testing.T, name string) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2 /* XDP_PASS */), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestSystemTryXDP(t *testing.T) {
	nstest.Enter(t) // for root
	lacks, err := System().TryXDP()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("this kernel lacks %v", lacks)
	// The trial was elsewhere.
	if xdp := nstest.Link(t, "lo").Attrs().Xdp; xdp != nil && xdp.Attached {
		t.Errorf("lo runs XDP program %d", xdp.ProgId)
	}
}

func TestSystemXDP(t *testing.T) {
	nstest.Enter(t)
	nstest.Veth(t, "eth0", "peer0")
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br0"
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
	dir := bpfDir(t)
	look := func(device string) XDP {
		t.Helper()
		x, err := System().XDP(device, filepath.Join(dir, "hafast"))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	want := func(when string, got *Program, want *Program) {
		t.Helper()
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}

	// Linux 6.3 tells what a driver can.
	_, err := netlink.GenlFamilyGet("netdev")
	tells := err == nil
	x := look("eth0")
	if x.Driver != "veth" || tells && x.Native != NativeYes {
		t.Errorf("veth: %+v", x)
	}
	want("nothing attached", x.Program, nil)
	if x := look("br0"); x.Driver != "bridge" || tells && x.Native != NativeNo {
		t.Errorf("bridge: %+v", x)
	}

	program := passProgram(t, "stranger")
	l, err := xdplink.AttachXDP(xdplink.XDPOptions{Program: program, Interface: nstest.Link(t, "eth0").Attrs().Index})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := program.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	stranger := &Program{ID: uint32(id), Name: "stranger"}
	own := &Program{ID: uint32(id), Name: "stranger", Own: true}
	want("somebody else's", look("eth0").Program, stranger)

	// Pinned elsewhere it is still somebody else's.
	if err := program.Pin(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "hafast", "links"), 0o700); err != nil {
		t.Fatal(err)
	}
	another := passProgram(t, "another")
	if err := another.Pin(filepath.Join(dir, "hafast", "program")); err != nil {
		t.Fatal(err)
	}
	want("pinned elsewhere", look("eth0").Program, stranger)
	if err := l.Pin(filepath.Join(dir, "hafast", "links", "2")); err != nil {
		t.Fatal(err)
	}
	want("its link is pinned", look("eth0").Program, own)
	if err := l.Unpin(); err != nil {
		t.Fatal(err)
	}
	want("no longer pinned", look("eth0").Program, stranger)
	if err := os.Remove(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if clone, err := program.Clone(); err != nil {
		t.Error(err)
	} else {
		defer clone.Close()
		if err := clone.Pin(filepath.Join(dir, "hafast", "old")); err != nil {
			t.Fatal(err)
		}
	}
	want("the program is pinned", look("eth0").Program, own)

	if _, err := System().XDP("none", dir); err == nil {
		t.Error("an interface that is not there can run XDP")
	}
}

func TestSystemOnBPFFS(t *testing.T) {
	nstest.Enter(t)
	dir := bpfDir(t)
	for _, test := range []struct {
		dir  string
		want bool
	}{
		{dir, true},
		{filepath.Join(dir, "hafast", "links"), true},
		{filepath.Dir(dir), false},
		{filepath.Join(filepath.Dir(dir), "none", "none"), false},
	} {
		if got, err := System().OnBPFFS(test.dir); err != nil || got != test.want {
			t.Errorf("%s: %t, %v; want %t", test.dir, got, err, test.want)
		}
	}
	file := filepath.Join(filepath.Dir(dir), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := System().OnBPFFS(filepath.Join(file, "x")); err == nil {
		t.Error("a directory below a file is fine")
	}
}

func TestSystemOnLink(t *testing.T) {
	nstest.Enter(t)
	nstest.Veth(t, "eth0", "peer0")
	nstest.Add(t, "eth0", "10.0.0.1/24")
	_, all, err := net.ParseCIDR("0.0.0.0/0")
	if err != nil {
		t.Fatal(err)
	}
	err = netlink.RouteAdd(&netlink.Route{Dst: all, Gw: net.IPv4(10, 0, 0, 254)})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{"10.0.0.2": true, "10.7.0.2": false} {
		if got, err := System().OnLink(netip.MustParseAddr(addr)); err != nil || got != want {
			t.Errorf("%s: %t, %v; want %t", addr, got, err, want)
		}
	}
}
