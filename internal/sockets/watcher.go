// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"
)

// lister is the part of [Reader] that a Watcher needs.
type lister interface {
	Listening(pids []int, vips []netip.Addr) ([]Service, error)
}

// Watcher tells which services haproxy serves, whenever that changes.
//
// The kernel has no event for a socket that begins to listen, so it looks every so
// often; Kick makes it look at once, as when haproxy was reloaded. A look takes 0.1
// ms of CPU with 10 listeners and 1.5 ms with 1,000 (BenchmarkListening). For
// some looks after a listener or process has come, and twice a minute, 4 us are
// added for each descriptor that haproxy has open.
type Watcher struct {
	sockets lister
	limits  error
	log     *slog.Logger
	kick    chan struct{}
}

// NewWatcher returns a Watcher that reads by r, which the caller closes after Run
// has returned.
func NewWatcher(r *Reader, log *slog.Logger) *Watcher {
	w := newWatcher(r, log)
	w.limits = r.Limits()
	return w
}

func newWatcher(l lister, log *slog.Logger) *Watcher {
	return &Watcher{sockets: l, log: log, kick: make(chan struct{}, 1)}
}

// Kick asks for a look now. It never blocks; while a look is due already, further
// calls change nothing.
func (w *Watcher) Kick() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run looks every so often (1 s is a good measure; 0 means that) until ctx is done.
// pids are haproxy's processes now, vips the addresses that count. While there are
// no pids, the last ones count for as long as they run: a haproxy that is reloaded
// removes the pidfile some time before it writes its own. report is
// called from Run's goroutine with the first result, even if it is empty, and with
// each that differs; it must not block for long and may keep the slice.
//
// What is new is reported at once. What is missing is reported by the second look
// that misses it, half a period or more after the first: while haproxy is
// reloaded there is a moment in which the old process listens no longer and the
// new one is not known yet, and services must not come and go with that. A VIP
// that is no longer among vips goes at once.
//
// When a look fails, the last result stays, and the reason is logged once.
func (w *Watcher) Run(ctx context.Context, every time.Duration, pids func() []int, vips func() []netip.Addr, report func([]Service)) {
	if every <= 0 {
		every = time.Second
	}
	if w.limits != nil {
		w.log.Warn("QUIC services are not seen", "error", w.limits)
	}
	held := steady{grace: every / 2}
	failing := ""
	var last []int
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		addrs := vips()
		if now := pids(); len(now) > 0 {
			last = slices.Clone(now)
		}
		seen, err := w.sockets.Listening(last, addrs)
		switch {
		case err == nil:
			failing = ""
			if list, changed := held.step(time.Now(), seen, addrs); changed {
				report(list)
			}
		case err.Error() != failing:
			failing = err.Error()
			w.log.Warn("cannot tell what haproxy listens on; the services stay as they are", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-w.kick:
		}
	}
}

// steady is the list of services without its flickering. The zero value has
// reported nothing yet.
type steady struct {
	// grace is how long a service may be missing.
	grace time.Duration
	// missing has the services of the list that the last look did not see, and
	// when they were missed first.
	missing map[Service]time.Time
	list    []Service
	started bool
}

// step takes what a look has seen, sorted, and returns the list and whether it
// differs from the one returned before.
func (s *steady) step(now time.Time, seen []Service, vips []netip.Addr) (list []Service, changed bool) {
	missing := make(map[Service]time.Time)
	next := slices.Clone(seen)
	current := newAddresses(vips).all
	for _, old := range s.list {
		if _, there := slices.BinarySearchFunc(seen, old, compare); there || !current[old.VIP] {
			continue
		}
		since, again := s.missing[old]
		if !again {
			since = now
		}
		if now.Sub(since) >= s.grace && again {
			continue
		}
		missing[old] = since
		next = append(next, old)
	}
	slices.SortFunc(next, compare)
	changed = !s.started || !slices.Equal(next, s.list)
	s.missing, s.list, s.started = missing, next, true
	return slices.Clone(next), changed
}
