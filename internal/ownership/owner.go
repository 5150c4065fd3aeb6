// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"hafast/internal/announce"
	"hafast/internal/link"
)

// Owner takes and releases the VIPs of a set of instances.
type Owner struct {
	deps Deps

	// notes guards what callers leave for Run.
	notes   sync.Mutex
	orders  map[string]order
	queue   []string // names with an order, first come first served
	changes map[string]link.Change
	wake    chan struct{}

	// work guards all below; Run, Prepare and Withdraw take turns.
	work     sync.Mutex
	holdings map[string]*holding
	// names keeps the holdings in the order of the configuration.
	names []string
	// states are the interfaces as last reported; one that is absent is not there.
	states  map[string]link.State
	budgets budgets
	// recheck is when corrections that were held back are due; zero for none.
	recheck time.Time
}

// order is the latest wish about an instance.
type order struct {
	want       condition
	since      time.Time
	reannounce bool
}

// condition is what an instance is, or is wanted to be.
type condition int

const (
	undecided condition = iota
	backup
	active
)

// holding is an instance and how things stand with it.
type holding struct {
	Instance
	places    []place
	condition condition
	// since is when the decision fell that the current Acquire carries out.
	since    time.Time
	schedule *announce.Schedule
	retry    backoff
	// answered is when a rival's claim was last answered, answer when the next
	// answer is due; zero for none.
	answered, answer time.Time
	// own are an address owner's own addresses.
	own map[netip.Addr]bool
}

// New returns an Owner of nothing.
func New(deps Deps) *Owner {
	return &Owner{
		deps:     deps,
		orders:   map[string]order{},
		changes:  map[string]link.Change{},
		wake:     make(chan struct{}, 1),
		holdings: map[string]*holding{},
		states:   map[string]link.State{},
		budgets:  budgets{},
	}
}

// Acquire has the instance's VIPs taken; since is when that was decided. It
// returns at once; Acquired or Failed is reported.
func (o *Owner) Acquire(name string, since time.Time) {
	o.note(name, func(n *order) { n.want, n.since = active, since })
}

// Release has the instance's VIPs given up. It returns at once; Released or
// Failed is reported. It may be called for an instance that never had them.
func (o *Owner) Release(name string) {
	o.note(name, func(n *order) { n.want, n.since = backup, time.Time{} })
}

// Reannounce has the VIPs announced once more, if the instance is Active. It is
// for rivals' claims, and rate-limited.
func (o *Owner) Reannounce(name string) {
	o.note(name, func(n *order) { n.reannounce = true })
}

// Changed tells of an interface's state. It returns at once; of several changes
// of one interface the last one counts.
func (o *Owner) Changed(c link.Change) {
	o.notes.Lock()
	o.changes[c.Name] = c
	o.notes.Unlock()
	o.nudge()
}

func (o *Owner) note(name string, write func(*order)) {
	o.notes.Lock()
	n, waiting := o.orders[name]
	write(&n)
	o.orders[name] = n
	if !waiting {
		o.queue = append(o.queue, name)
	}
	o.notes.Unlock()
	o.nudge()
}

func (o *Owner) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Run does the work until ctx is done; what is in place then stays, see
// Withdraw. It calls report from its own goroutine, in the order of things, and
// never while it holds a lock; a report that blocks holds up the next takeover.
// Run returns nil.
func (o *Owner) Run(ctx context.Context, report func(Event)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.wake:
		case <-timer.C:
		}
		for ctx.Err() == nil {
			events, more := o.step()
			for _, e := range events {
				report(e)
			}
			if !more {
				break
			}
		}
		if next, ok := o.next(); ok {
			timer.Reset(next.Sub(o.deps.Now()))
		} else {
			timer.Stop()
		}
	}
}

// step does one thing: an order, or else the changes, or else what is due.
// Orders come first because a takeover must not wait for anything. more is false
// once there was nothing left to do.
func (o *Owner) step() (events []Event, more bool) {
	o.work.Lock()
	defer o.work.Unlock()
	if name, n, ok := o.takeOrder(); ok {
		return o.carryOut(name, n), true
	}
	if changes := o.takeChanges(); len(changes) > 0 {
		return o.look(changes), true
	}
	return o.due(o.deps.Now()), false
}

func (o *Owner) takeOrder() (string, order, bool) {
	o.notes.Lock()
	defer o.notes.Unlock()
	if len(o.queue) == 0 {
		return "", order{}, false
	}
	name := o.queue[0]
	o.queue = o.queue[1:]
	n := o.orders[name]
	delete(o.orders, name)
	return name, n, true
}

func (o *Owner) takeChanges() map[string]link.Change {
	o.notes.Lock()
	defer o.notes.Unlock()
	changes := o.changes
	o.changes = map[string]link.Change{}
	return changes
}

func (o *Owner) carryOut(name string, n order) []Event {
	h := o.holdings[name]
	if h == nil {
		return nil // a reload has come first, and taken down what it had
	}
	var events []Event
	switch n.want {
	case active:
		h.since = n.since
		h.retry.reset()
		events = o.acquire(h)
	case backup:
		h.retry.reset()
		events = o.release(h)
	case undecided:
	}
	if n.reannounce && h.condition == active {
		h.answer = o.deps.Now()
		if earliest := h.answered.Add(reannouncePause); earliest.After(h.answer) {
			h.answer = earliest
		}
	}
	return events
}

// due does what the time has come for.
func (o *Owner) due(now time.Time) []Event {
	var events []Event
	for _, name := range o.names {
		h := o.holdings[name]
		if h.retry.pending() && !now.Before(h.retry.at) {
			if h.condition == active {
				events = append(events, o.acquire(h)...)
			} else {
				events = append(events, o.release(h)...)
			}
		}
		scheduled := h.schedule != nil && h.schedule.Due(now)
		claimed := !h.answer.IsZero() && !now.Before(h.answer)
		if claimed {
			h.answered, h.answer = now, time.Time{}
		}
		if scheduled || claimed {
			o.repeat(h)
		}
	}
	if !o.recheck.IsZero() && !now.Before(o.recheck) {
		o.recheck = time.Time{}
		events = append(events, o.mendAll()...)
	}
	return events
}

// next is the earliest time that due has something to do.
func (o *Owner) next() (time.Time, bool) {
	o.work.Lock()
	defer o.work.Unlock()
	var next time.Time
	consider := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	consider(o.recheck)
	for _, h := range o.holdings {
		consider(h.retry.at)
		consider(h.answer)
		if h.schedule != nil {
			if t, ok := h.schedule.Next(); ok {
				consider(t)
			}
		}
	}
	return next, !next.IsZero()
}
