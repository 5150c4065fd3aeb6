// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hafast/internal/announce"
	"hafast/internal/config"
	"hafast/internal/control"
	"hafast/internal/health"
	"hafast/internal/link"
	"hafast/internal/metrics"
	"hafast/internal/notify"
	"hafast/internal/ownership"
	"hafast/internal/throttle"
	"hafast/pkg/vrrp"
)

// world is hosts whose adapters are values: adverts are posted to the other
// hosts' loops, addresses are a map. Time is the test's (testing/synctest).
type world struct {
	t     *testing.T
	hosts []*testHost
}

// testHost is one loop and what it has done to its host.
type testHost struct {
	*loop
	t    *testing.T
	addr netip.Addr
	stop context.CancelFunc
	done chan struct{}
	log  bytes.Buffer

	reach reach

	// Only the loop touches these while it runs; see on.
	owns       map[string]bool // instances whose addresses are here
	notified   []string
	reannounce int
	sent       []time.Time
	guarded    announce.Watched
	remembered bool
}

// reach is whether a host hears the others and is heard by them. While hosts run it is
// changed by set alone: a host that says something at the same moment would sometimes be
// heard and sometimes not.
type reach struct {
	deaf, mute atomic.Bool
	// lost is a host that alone is not heard.
	lost atomic.Pointer[testHost]
}

// lose has one host's words lost, alone.
func (r *reach) lose(from *testHost) {
	synctest.Wait()
	r.lost.Store(from)
}

// set changes it between two moments: all that was said before has arrived.
func (r *reach) set(deaf, mute bool) {
	synctest.Wait()
	r.deaf.Store(deaf)
	r.mute.Store(mute)
}

// hears reports whether what from says now arrives at the host.
func (h *testHost) hears(from *testHost) bool {
	return h != from && !from.reach.mute.Load() && !h.reach.deaf.Load() && h.reach.lost.Load() != from
}

// deliver puts an event into the host's queue. Loops do so to each other and to
// themselves, so that one that waited here for room might wait for itself.
func (h *testHost) deliver(ev event) {
	select {
	case h.events <- ev:
	default:
		h.t.Errorf("the queue of %v is full", h.addr)
	}
}

// inWorld runs f in a bubble with a host for each configuration.
func inWorld(t *testing.T, configs []string, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		for i, text := range configs {
			w.add(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), text)
		}
		w.run(func() { f(w) })
	})
}

// run starts all hosts, calls f and stops them. They have started, and heard what each
// says at its start, before f begins: it cannot change by chance what they start with.
func (w *world) run(f func()) {
	for _, h := range w.hosts {
		h.run()
	}
	synctest.Wait()
	f()
	for _, h := range w.hosts {
		h.stop()
	}
	for _, h := range w.hosts {
		<-h.done
	}
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func (w *world) add(addr netip.Addr, text string) {
	cfg := parse(w.t, text)
	h := &testHost{t: w.t, addr: addr, owns: make(map[string]bool), done: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(&h.log, nil))
	up := link.State{Name: "eth0", Index: 2, Up: true, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 24)}}
	h.loop = &loop{
		cfg: cfg, instances: instancesOf(cfg),
		links: map[string]link.State{"eth0": up}, checks: make(map[string]check), groups: make(map[string]vrrp.State),
		events: make(chan event, eventQueue), quiet: throttle.Throttle{Every: time.Second}, exposed: true,
		started: time.Now(), version: "test", journal: control.NewJournal(0), metrics: metrics.New("test"), log: log,
	}
	h.later = func(d time.Duration, ev event) { time.AfterFunc(d, func() { h.post(w.t.Context(), ev) }) }
	h.ports = ports{
		wires: testWires{w, h}, owner: testOwner{h}, notifier: testNotifier{h}, checker: testChecker{},
		timer: newTestTimer(), guard: func(watched announce.Watched) error { h.guarded = watched; return nil },
		watchLinks: func([]*instance) {}, remember: func(d bool) error { h.remembered = d; return nil },
	}
	var err error
	if h.router, err = vrrp.NewRouter(virtualRouters(h.instances)); err != nil {
		w.t.Fatal(err)
	}
	w.hosts = append(w.hosts, h)
}

func (h *testHost) run() {
	ctx, cancel := context.WithCancel(h.t.Context())
	h.stop = cancel
	go func() {
		defer close(h.done)
		h.start(time.Now())
		h.loop.run(ctx, context.Background(), context.Background())
	}()
}

// backend is what the host's clients talk to.
func (h *testHost) backend() backend { return backend{loop: h.loop, done: context.Background()} }

// haproxy reports the outcome of the check on haproxy.
func (h *testHost) haproxy(up bool, detail string) {
	h.post(h.t.Context(), checkUpdated{health.Update{Check: health.NameHAProxy, Up: up, Detail: detail}})
	synctest.Wait()
}

// on runs f on the loop, or here once the loop has ended.
func (h *testHost) on(f func(now time.Time)) {
	h.t.Helper()
	select {
	case <-h.done:
		f(time.Now())
	default:
		if err := h.backend().ask(h.t.Context(), f); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *testHost) state(instance string) (st vrrp.State) {
	h.t.Helper()
	h.on(func(time.Time) { st = h.router.State(instance) })
	return st
}

func (h *testHost) has(instance string) (has bool) {
	h.t.Helper()
	h.on(func(time.Time) { has = h.owns[instance] })
	return has
}

// adverts are the times at which the host sent one for VI_1.
func (h *testHost) adverts() (at []time.Time) {
	h.t.Helper()
	h.on(func(time.Time) { at = slices.Clone(h.sent) })
	return at
}

// journalled lists the journal's entries of a kind, as "from>to cause".
func (h *testHost) journalled(kind string) []string {
	var out []string
	for _, ev := range h.journal.Since(0) {
		if ev.Kind == kind {
			out = append(out, ev.From+">"+ev.To+" "+ev.Cause)
		}
	}
	return out
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

type testWires struct {
	w    *world
	from *testHost
}

func (x testWires) send(in *instance, b []byte, dst netip.Addr) error {
	if in.Name == "VI_1" {
		x.from.sent = append(x.from.sent, time.Now())
	}
	for _, h := range x.w.hosts {
		if h.hears(x.from) {
			h.deliver(packetArrived{"eth0", vrrp.Packet{Src: x.from.addr, Dst: dst, TTL: 255, Payload: slices.Clone(b)}})
		}
	}
	return nil
}

func (testWires) trouble(*instance) string { return "" }

func (testWires) pending(*instance) bool { return false }

func (testWires) opened(wireOpened) {}

func (testWires) follow([]*instance, map[string]link.State) {}

type testOwner struct{ h *testHost }

func (o testOwner) Acquire(name string, since time.Time) {
	o.h.owns[name] = true
	o.h.deliver(vipReported{ownership.Acquired{Name: name, Phases: ownership.Phases{Total: time.Since(since)}, Addresses: 1}})
}
func (o testOwner) Release(name string) { o.h.owns[name] = false }
func (o testOwner) Reannounce(string)   { o.h.reannounce++ }
func (o testOwner) Changed(link.Change) {}

type testNotifier struct{ h *testHost }

func (n testNotifier) Notify(x notify.Notification) {
	n.h.notified = append(n.h.notified, string(x.Kind)+" "+x.Name+" "+string(x.State))
}

type testChecker struct{}

func (testChecker) watch(*config.Config) {}

// testTimer is a time.Timer, which synctest knows how to advance.
type testTimer struct {
	timer *time.Timer
	c     chan struct{}
}

func newTestTimer() *testTimer {
	t := &testTimer{c: make(chan struct{}, 1)}
	t.timer = time.AfterFunc(time.Hour, func() {
		select {
		case t.c <- struct{}{}:
		default:
		}
	})
	t.timer.Stop()
	return t
}

func (t *testTimer) C() <-chan struct{} { return t.c }

func (t *testTimer) Reset(at time.Time) error {
	t.timer.Reset(time.Until(at))
	return nil
}
