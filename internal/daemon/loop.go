// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"hafast/internal/announce"
	"hafast/internal/config"
	"hafast/internal/control"
	"hafast/internal/link"
	"hafast/internal/metrics"
	"hafast/internal/notify"
	"hafast/internal/throttle"
	"hafast/pkg/vrrp"
)

// eventQueue is how many events may wait for the loop. Whoever finds it full
// waits; for adverts the kernel's socket buffers then hold what arrives.
const eventQueue = 1024

// A timer that fires later than pauseSlack means that this host stood still, and
// what its peers sent meanwhile may not have been read yet. The loop lets that in
// for settleTime before it draws conclusions: a host that was paused must not
// accuse its peer.
const (
	pauseSlack = 2 * time.Millisecond
	settleTime = time.Millisecond
)

// wires sends adverts.
type wires interface {
	send(in *instance, b []byte, dst netip.Addr) error
	// trouble says why the instance's adverts cannot be received, empty when
	// they can: a host that is deaf must not take over.
	trouble(in *instance) string
	// pending reports whether the instance's socket is being opened.
	pending(in *instance) bool
	// follow opens, reopens or closes what an interface's change asks for. It does not
	// wait: what was opened comes as wireOpened, and is handed to opened.
	follow(instances []*instance, links map[string]link.State)
	opened(wireOpened)
}

// owner takes and releases the VIPs of instances; it never blocks.
type owner interface {
	Acquire(name string, since time.Time)
	Release(name string)
	Reannounce(name string)
	Changed(link.Change)
}

// notifier runs notify scripts; it never blocks.
type notifier interface {
	Notify(notify.Notification)
}

// checker starts and stops health checks.
type checker interface {
	// watch runs exactly the checks that the configuration asks for.
	watch(cfg *config.Config)
}

// timer is clock.Timer's part that the loop needs.
type timer interface {
	C() <-chan struct{}
	Reset(at time.Time) error
}

// ports are all that the loop acts through.
type ports struct {
	wires    wires
	owner    owner
	notifier notifier
	checker  checker
	timer    timer
	// watchLinks has changes of these instances' interfaces reported.
	watchLinks func([]*instance)
	// guard replaces what is watched for rivals' claims.
	guard func(announce.Watched) error
	// remember keeps the operator's drain over a restart of the daemon.
	remember func(drained bool) error
}

// loop is the daemon's state. Only the goroutine in run touches it.
type loop struct {
	ports
	cfg       *config.Config
	router    *vrrp.Router
	instances []*instance
	links     map[string]link.State
	checks    map[string]check
	groups    map[string]vrrp.State // what each sync group's scripts were told last
	drained   bool
	stopping  bool
	begun     bool // the instances have been started
	handedOff bool // a successor on this host takes over from here
	// resume names the instances that a predecessor on this host was Active for until
	// a moment ago.
	resume map[string]bool
	// fleet is nil without a data path.
	fleet *fleet
	sync  replication
	// leaseDue is when the lease is to be renewed.
	leaseDue time.Time
	exposed  bool // the watch on rivals does not know yet what is ours
	moved    bool // the peers do not know yet where this host stands in the elections

	// quiet keeps the log and the journal readable under a flood.
	quiet throttle.Throttle
	// later posts an event after a while.
	later func(time.Duration, event)

	events  chan event
	armed   time.Time // what the timer is set to; the zero Time when it is not
	settled bool      // the pause before a late tick is over
	buf     []byte

	started time.Time
	version string
	journal *control.Journal
	metrics *metrics.Metrics
	log     *slog.Logger
}

// post hands an event to the loop, unless ctx ends first.
func (l *loop) post(ctx context.Context, ev event) {
	select {
	case l.events <- ev:
	case <-ctx.Done():
	}
}

// run handles events until all instances have stopped after stop ended, or until
// kill ends, or at once when leave ends: a successor on this host then takes over.
func (l *loop) run(stop, kill, leave context.Context) {
	stopped, left := stop.Done(), leave.Done()
	var renewals <-chan time.Time
	if l.fleet != nil {
		l.leaseDue = time.Now().Add(leaseEvery)
		ticker := time.NewTicker(leaseEvery)
		defer ticker.Stop()
		renewals = ticker.C
	}
	for !l.stopping || l.busy() {
		l.defend()
		if l.moved {
			l.reconcile()
		}
		l.arm()
		select {
		case ev := <-l.events:
			ev.handle(l, l.awake())
		case <-l.timer.C():
			l.tick(l.awake())
		case <-renewals:
			l.renewLease(time.Now())
		case <-stopped:
			stopped = nil
			l.stop(time.Now())
		case <-left:
			if l.fleet != nil {
				l.handOff(time.Now())
				return
			}
			// Without a lease nothing would take from this host what it left behind.
			left = nil
			l.stop(time.Now())
		case <-kill.Done():
			return
		}
	}
}

// busy reports whether an instance is still handing over.
func (l *loop) busy() bool {
	for _, in := range l.instances {
		if l.router.State(in.Name) != vrrp.Init {
			return true
		}
	}
	return false
}

// arm sets the timer to the next deadline.
func (l *loop) arm() {
	due, running := l.router.Deadline()
	if !running || due.Equal(l.armed) {
		return
	}
	l.set(due)
	l.settled = false
}

func (l *loop) set(at time.Time) {
	l.armed = at
	if err := l.timer.Reset(at); err != nil {
		l.log.Error("cannot set the timer", "error", err)
	}
}

func (l *loop) tick(now time.Time) {
	l.armed = time.Time{}
	due, running := l.router.Deadline()
	if !running || now.Before(due) {
		return
	}
	late := now.Sub(due)
	if late > pauseSlack && !l.settled {
		l.settled = true
		l.set(now.Add(settleTime))
		l.armed = due // so that arm leaves the timer alone
		return
	}
	l.settled = false
	l.metrics.LoopLateness(late)
	l.perform(now, l.router.Tick(now))
}

func (l *loop) start(now time.Time) {
	l.record(now, control.Event{Kind: "start", Cause: "hafast " + l.version + " started"})
	if len(l.resume) > 0 {
		l.later(resumePatience, resumeDue{})
		l.resumeIfKnown(now)
		return
	}
	l.score(now)
	l.begin(now)
}

// begin starts the instances that are in Init; the others take no notice.
func (l *loop) begin(now time.Time) {
	if l.fleet != nil && !l.begun {
		l.later(initialSyncWindow, initialSyncOver{}) // hellos are sent and heard from now on
	}
	l.begun = true
	for _, in := range l.instances {
		l.beginInstance(now, in)
	}
	l.reconcile()
}

// beginInstance starts an instance. One whose socket is still being opened waits for that:
// its first advert would be lost.
func (l *loop) beginInstance(now time.Time, in *instance) {
	if in.unwired = l.wires.pending(in); in.unwired || l.stopping {
		return
	}
	resume := l.resume[in.Name]
	delete(l.resume, in.Name)
	if l.router.State(in.Name) == vrrp.Init && !resume {
		// There is nothing to give up. It tells the owner that the VIPs, should
		// anybody add them to the interface, do not belong there.
		l.owner.Release(in.Name)
	}
	l.inspect(now, in)
	l.perform(now, l.router.Step(now, in.Name, vrrp.Start{Resume: resume}))
	if resume && l.router.State(in.Name) != vrrp.Active {
		l.owner.Release(in.Name) // what the predecessor has left is not ours after all
	}
}

func (l *loop) stop(now time.Time) {
	l.stopping = true
	l.record(now, control.Event{Kind: "stop", Cause: "asked to stop"})
	for _, in := range l.instances {
		l.perform(now, l.router.Step(now, in.Name, vrrp.Stop{}))
	}
	l.reconcile()
}

// record enters an event into the journal and the log.
func (l *loop) record(now time.Time, ev control.Event) {
	ev.Time = now
	l.journal.Append(ev)
	attrs := []any{"kind", ev.Kind}
	for _, a := range [][2]string{{"instance", ev.Instance}, {"from", ev.From}, {"to", ev.To}} {
		if a[1] != "" {
			attrs = append(attrs, a[0], a[1])
		}
	}
	for _, p := range ev.Phases {
		attrs = append(attrs, p.Name+"_us", p.Microseconds)
	}
	l.log.Info(ev.Cause, attrs...)
}

func (l *loop) instance(name string) *instance {
	for _, in := range l.instances {
		if in.Name == name {
			return in
		}
	}
	return nil
}
