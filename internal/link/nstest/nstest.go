// SPDX-License-Identifier: Apache-2.0

// Package nstest gives a test a network namespace of its own.
//
// Enter moves the test's goroutine, and so its thread, into a new namespace.
// The thread is never given back: it ends with the test, and the namespace and
// all in it end with the thread, even after a panic.
package nstest

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Enter puts the calling goroutine into a new network namespace with lo up. It
// skips the test without root, unless HAFAST_REQUIRE_NETNS=1 makes that a
// failure. Goroutines that are started afterwards, subtests too, are not in the
// namespace.
func Enter(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("HAFAST_REQUIRE_NETNS") == "1" {
			t.Fatal("HAFAST_REQUIRE_NETNS=1, but this is not root")
		}
		t.Skip("network namespaces need root")
	}
	enter(t)
}

func enter(t testing.TB) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Errorf("unshare: %v", err)
		runtime.Goexit()
	}
	Up(t, "lo")
}

// Veth creates a pair of connected interfaces and sets both up.
func Veth(t testing.TB, a, b string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a
	must(t, "create veth", netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: b}))
	Up(t, a)
	Up(t, b)
	Operational(t, a, b)
}

// Operational waits until the interfaces can carry frames: after they were set up,
// the kernel sees to that in its own time.
func Operational(t testing.TB, names ...string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, name := range names {
		for Link(t, name).Attrs().OperState != netlink.OperUp {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%s does not become operational", name)
			}
		}
	}
}

// Up sets an interface up.
func Up(t testing.TB, name string) {
	t.Helper()
	must(t, "set up", netlink.LinkSetUp(Link(t, name)))
}

// Down sets an interface down.
func Down(t testing.TB, name string) {
	t.Helper()
	must(t, "set down", netlink.LinkSetDown(Link(t, name)))
}

// Delete removes an interface.
func Delete(t testing.TB, name string) {
	t.Helper()
	must(t, "delete", netlink.LinkDel(Link(t, name)))
}

// Add puts an address on an interface, without duplicate address detection.
func Add(t testing.TB, name, cidr string) {
	t.Helper()
	must(t, "add address", netlink.AddrAdd(Link(t, name), parse(t, cidr)))
}

// Remove takes an address off an interface.
func Remove(t testing.TB, name, cidr string) {
	t.Helper()
	must(t, "remove address", netlink.AddrDel(Link(t, name), parse(t, cidr)))
}

// Link finds an interface.
func Link(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, "find interface "+name, err)
	return l
}

// Addrs lists what is on an interface, IPv6 link-local addresses aside.
func Addrs(t testing.TB, name string) []string {
	t.Helper()
	list, err := netlink.AddrList(Link(t, name), netlink.FAMILY_ALL)
	must(t, "list addresses", err)
	var out []string
	for _, a := range list {
		if !a.IP.IsLinkLocalUnicast() {
			out = append(out, a.IPNet.String())
		}
	}
	return out
}

// Peer is a second namespace, for the other end of a wire.
type Peer struct {
	work chan func()
}

// NewPeer creates a namespace and moves the named interface into it, up.
func NewPeer(t testing.TB, iface string) *Peer {
	t.Helper()
	p := &Peer{work: make(chan func())}
	ready := make(chan int)
	go func() {
		defer close(ready)
		enter(t)
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Errorf("open namespace: %v", err)
			return
		}
		ready <- fd
		for f := range p.work {
			f()
		}
	}()
	fd, ok := <-ready
	if !ok {
		t.FailNow()
	}
	defer unix.Close(fd)
	t.Cleanup(func() { close(p.work) })
	must(t, "move "+iface, netlink.LinkSetNsFd(Link(t, iface), fd))
	p.Do(func() { Up(t, iface) })
	return p
}

// Do calls f in the namespace and waits for it. f must not call t.FailNow.
func (p *Peer) Do(f func()) {
	done := make(chan struct{})
	p.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

func parse(t testing.TB, cidr string) *netlink.Addr {
	t.Helper()
	a, err := netlink.ParseAddr(cidr)
	must(t, "parse "+cidr, err)
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
