// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hafast/internal/announce"
	"hafast/internal/config"
	"hafast/internal/link"
)

var errRefused = errors.New("refused")

// kernel is a fake of everything below an Owner. It keeps a log of what was
// really changed, in order.
type kernel struct {
	mu     sync.Mutex
	links  map[string]*link.State
	refuse map[netip.Addr]bool
	mute   bool // announcements fail
	locked bool // sysctls fail
	gated  bool // there is a data path
	dead   []netip.Addr
	log    []string
	// step is how long each change takes.
	step, owed time.Duration
}

func newKernel(names ...string) *kernel {
	k := &kernel{links: map[string]*link.State{}, refuse: map[netip.Addr]bool{}}
	for n, name := range append([]string{loopback}, names...) {
		k.plug(name, n+1)
	}
	return k
}

func (k *kernel) plug(name string, index int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.links[name] = &link.State{
		Name: name, Index: index, Up: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(index)},
		Addrs: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("fe80::%d/64", index))},
	}
}

func (k *kernel) unplug(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.links, name)
}

func (k *kernel) note(format string, args ...any) {
	k.log = append(k.log, fmt.Sprintf(format, args...))
	k.owed += k.step
}

// work locks the kernel for a change and returns what ends it: the time that the
// change takes passes once the lock is free, because a bubble's clock stands
// still while a goroutine waits for one.
func (k *kernel) work() (end func()) {
	k.mu.Lock()
	k.owed = 0
	return func() {
		owed := k.owed
		k.mu.Unlock()
		time.Sleep(owed)
	}
}

// takeLog returns the log and clears it.
func (k *kernel) takeLog() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	log := k.log
	k.log = nil
	return log
}

func (k *kernel) count(prefix string) int {
	n := 0
	for _, line := range k.takeLog() {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// with changes the kernel's own mood.
func (k *kernel) with(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

func (k *kernel) Settle(vips []netip.Addr) {
	defer k.work()()
	k.note("settle %v", vips)
}

func (k *kernel) OpenGate(instance string) {
	defer k.work()()
	k.note("open %s", instance)
}

func (k *kernel) CloseGate(instance string) {
	defer k.work()()
	k.note("close %s", instance)
}

// change is what a Monitor would report of the interface now.
func (k *kernel) change(name string) link.Change {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.links[name]
	if l == nil {
		return link.Change{Name: name, State: link.State{Name: name}}
	}
	s := *l
	s.Addrs = slices.Clone(l.Addrs)
	return link.Change{Name: name, Present: true, State: s}
}

// put and drop change an address behind the Owner's back.
func (k *kernel) put(name, cidr string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.links[name].Addrs = append(k.links[name].Addrs, netip.MustParsePrefix(cidr))
}

func (k *kernel) drop(name, cidr string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := netip.MustParsePrefix(cidr)
	k.links[name].Addrs = slices.DeleteFunc(k.links[name].Addrs, func(have netip.Prefix) bool { return have == p })
}

func (k *kernel) has(name, addr string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.links[name]
	return l != nil && l.Has(netip.MustParseAddr(addr))
}

func (k *kernel) State(name string) (link.State, error) {
	if c := k.change(name); c.Present {
		return c.State, nil
	}
	return link.State{}, fmt.Errorf("%w: %s", link.ErrNotFound, name)
}

func (k *kernel) AddAddresses(name string, addrs []link.Address) (link.Outcome, error) {
	defer k.work()()
	var out link.Outcome
	l := k.links[name]
	var failure error
	for _, a := range addrs {
		switch addr := a.Prefix.Addr(); {
		case l == nil:
			failure = fmt.Errorf("%w: %s", link.ErrNotFound, name)
			out.Failed = append(out.Failed, addr)
		case k.refuse[addr]:
			failure = errRefused
			out.Failed = append(out.Failed, addr)
		case !slices.Contains(l.Addrs, a.Prefix):
			l.Addrs = append(l.Addrs, a.Prefix)
			out.Changed = append(out.Changed, addr)
			k.note("add %s %s", name, a.Prefix)
		}
	}
	return out, failure
}

func (k *kernel) RemoveAddresses(name string, addrs []link.Address) (link.Outcome, error) {
	defer k.work()()
	var out link.Outcome
	l := k.links[name]
	if l == nil {
		return out, nil
	}
	var failure error
	for _, a := range addrs {
		at := slices.Index(l.Addrs, a.Prefix)
		if at < 0 {
			continue
		}
		if k.refuse[a.Prefix.Addr()] {
			failure = errRefused
			out.Failed = append(out.Failed, a.Prefix.Addr())
			continue
		}
		l.Addrs = slices.Delete(l.Addrs, at, at+1)
		out.Changed = append(out.Changed, a.Prefix.Addr())
		k.note("remove %s %s", name, a.Prefix)
	}
	return out, failure
}

func (k *kernel) AddRoutes(routes []config.Route) error {
	defer k.work()()
	for _, r := range routes {
		k.note("route %s", r.To)
	}
	return nil
}

func (k *kernel) RemoveRoutes(routes []config.Route) error {
	defer k.work()()
	for _, r := range routes {
		k.note("no route %s", r.To)
	}
	return nil
}

func (k *kernel) EnsureMacvlan(parent, name string, _ net.HardwareAddr) error {
	defer k.work()()
	if k.links[parent] == nil {
		return link.ErrNotFound
	}
	if k.links[name] == nil {
		k.links[name] = &link.State{Name: name, Index: 100 + len(k.links), Up: true, MAC: net.HardwareAddr{0, 0, 0, 0, 0, 0}}
		k.note("macvlan %s", name)
	}
	return nil
}

func (k *kernel) RemoveMacvlan(name string) error {
	defer k.work()()
	delete(k.links, name)
	k.note("no macvlan %s", name)
	return nil
}

func (k *kernel) Apply(settings []link.Setting) error {
	defer k.work()()
	if k.locked {
		return errRefused
	}
	for _, s := range settings {
		k.note("sysctl %s=%s", s.Path, s.Value)
	}
	return nil
}

func (k *kernel) Restore() error {
	defer k.work()()
	k.note("sysctls restored")
	return nil
}

func (k *kernel) Set(addrs []netip.Addr) error {
	defer k.work()()
	k.dead = slices.Clone(addrs)
	return nil
}

func (k *kernel) Announce(to announce.Interface, addrs []netip.Addr) (int, error) {
	defer k.work()()
	l := k.links[to.Name]
	if k.mute || l == nil || l.Index != to.Index {
		return 0, errRefused
	}
	for _, a := range addrs {
		if !l.Has(a) {
			k.note("PREMATURE %s", a)
		}
		k.note("announce %s %s %s %s", to.Name, a, to.MAC, to.LinkLocal)
	}
	return len(addrs), nil
}

// bench is an Owner that runs on a fake kernel, inside a synctest bubble.
type bench struct {
	*Owner
	kernel *kernel

	mu     sync.Mutex
	events []Event
}

// run calls test inside a bubble, with an Owner of the instances that is
// prepared and running.
func run(t *testing.T, k *kernel, instances []Instance, test func(*testing.T, *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{kernel: k, Owner: New(Deps{
			Addresses: k, Routes: k, Macvlans: k, Sysctls: k, Guard: k, Announcer: k,
			Log: slog.New(slog.DiscardHandler), Now: time.Now,
		})}
		if k.gated {
			b.deps.Connections, b.deps.Gate = k, k
		}
		if err := b.Prepare(instances); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- b.Run(ctx, func(e Event) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.events = append(b.events, e)
			})
		}()
		// Deferred, so that a test that fails ends the bubble too.
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}()
		test(t, b)
	})
}

// settle waits until the Owner has nothing to do right now and returns what it
// has reported.
func (b *bench) settle() []Event {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = nil
	return events
}

// after lets time pass, and settles.
func (b *bench) after(d time.Duration) []Event {
	time.Sleep(d)
	return b.settle()
}

// tell reports the interfaces' states, as a Monitor would.
func (b *bench) tell(names ...string) []Event {
	for _, name := range names {
		b.Changed(b.kernel.change(name))
	}
	return b.settle()
}

// only finds the one event of a type, and fails if there are none or several.
func only[E Event](t *testing.T, events []Event) E {
	t.Helper()
	var found []E
	for _, e := range events {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		var zero E
		t.Fatalf("%d events of type %T in %+v, want 1", len(found), zero, events)
	}
	return found[0]
}

// none fails if there is any event.
func none(t *testing.T, events []Event) {
	t.Helper()
	if len(events) != 0 {
		t.Fatalf("unexpected events: %+v", events)
	}
}

func vip(cidr string) VIP { return VIP{Prefix: netip.MustParsePrefix(cidr), Interface: "eth0"} }

func instance(name string, cidrs ...string) Instance {
	i := Instance{Name: name, Accept: true, Announce: config.Announce{
		Count: 3, Interval: 20 * time.Millisecond, RepeatDelay: 5 * time.Second, Refresh: time.Minute,
	}}
	for _, c := range cidrs {
		i.VIPs = append(i.VIPs, vip(c))
	}
	return i
}
