// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
	"hafast/internal/steering"
	"hafast/pkg/loader"
)

// lab is a network namespace with the interface eth0 and a BPF filesystem, both of
// the test's own. Nothing of it outlives the test's thread.
type lab struct {
	t      testing.TB
	pinDir string
	routes routes
	log    bytes.Buffer
}

// routes leads to what it lists, by the interface of that number; 0 stands for a
// router in between.
type routes map[netip.Addr]int

func (r routes) OnLink(a netip.Addr) (int, bool, error) { return r[a], r[a] != 0, nil }

func newLab(t testing.TB) *lab {
	t.Helper()
	nstest.Enter(t)
	mount := t.TempDir()
	must(t, unix.Unshare(unix.CLONE_NEWNS))
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, unix.Mount("bpf", mount, "bpf", 0, ""))
	t.Cleanup(func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount bpffs: %v", err)
		}
	})
	nstest.Veth(t, "eth0", "far0")
	l := &lab{t: t, pinDir: filepath.Join(mount, "hafast"), routes: routes{}}
	index := nstest.Link(t, "eth0").Attrs().Index
	for n := range byte(40) {
		l.routes[host(n)] = index
	}
	return l
}

func (l *lab) open() *Path {
	l.t.Helper()
	p, err := Open(Options{
		PinDir: l.pinDir, Flows: loader.MinFlows, Log: slog.New(slog.NewTextHandler(&l.log, nil)),
	}, l.routes)
	must(l.t, err)
	l.t.Cleanup(func() { _ = p.Close() })
	for a := range l.routes {
		p.SetLeg(a, true) // frames arrive, unless a test says otherwise
	}
	return p
}

// begin opens and prepares a data path that resumes the named instances.
func (l *lab) begin(w Desired, resume ...string) *Path {
	l.t.Helper()
	p := l.open()
	must(l.t, p.Prepare(w, func(name string) bool {
		for _, r := range resume {
			if r == name {
				return true
			}
		}
		return false
	}))
	return p
}

// carry has the desired state reconciled.
func (l *lab) carry(p *Path, w Desired) {
	l.t.Helper()
	p.work.Lock()
	defer p.work.Unlock()
	must(l.t, p.reconcile(w))
}

// run has Run work until the condition holds. It does so on the test's thread, which
// is the one that sees the lab's interfaces; the condition is asked on another.
func (l *lab) run(p *Path, what string, ok func() bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	held := make(chan bool, 1)
	go func() {
		defer cancel()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if ok() {
				held <- true
				return
			}
			<-tick.C
		}
	}()
	must(l.t, p.Run(ctx))
	select {
	case <-held:
	default:
		l.t.Fatalf("never came about: %s", what)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func host(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }

func vipOf(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 1, n}) }

func mac(n byte) [6]byte { return [6]byte{2, 0, 0, 0, 0, n} }

func web(n byte) steering.Service {
	return steering.Service{VIP: vipOf(n), Port: 80, Proto: steering.TCP}
}

// self is this host, 10.0.0.1, and up.
func self() Target {
	return Target{Addr: host(1), Local: true, State: steering.Up, Serves: []steering.Service{web(1)}}
}

// other is another host that is up.
func other(n byte) Target {
	return Target{Addr: host(n), MAC: mac(n), State: steering.Up, Serves: []steering.Service{web(1)}}
}

// desiredOf is the desired state of one instance, VI_1, and these targets.
func desiredOf(targets ...Target) Desired {
	return Desired{
		Interfaces: []string{"eth0"},
		Instances:  []Instance{{Name: "VI_1", VIPs: []netip.Addr{vipOf(1)}}},
		Locals:     []netip.Addr{host(1)},
		Targets:    targets,
	}
}

// flags are what may be done with a target, by address; nothing if it has no place.
func flags(p *Path, a netip.Addr) loader.TargetFlags {
	for _, t := range p.Targets() {
		if t.Addr == a {
			return t.Flags
		}
	}
	return 0
}

// place is the place of a target, -1 if it has none.
func place(p *Path, a netip.Addr) int {
	for _, t := range p.Targets() {
		if t.Addr == a {
			return t.Place
		}
	}
	return -1
}

const (
	upLocal   = loader.TargetLocal | loader.TargetNew | loader.TargetOld
	upRemote  = loader.TargetNew | loader.TargetOld
	drained   = loader.TargetOld
	downLocal = loader.TargetLocal
)
