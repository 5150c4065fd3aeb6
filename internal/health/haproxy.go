// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"hafast/internal/config"
)

const (
	// slowTick is how often things are looked at that should have sent an event.
	slowTick = time.Second
	// fastTick is the same while an event may not come: the process is gone,
	// the pidfile's directory is missing, or a master has no worker yet.
	fastTick = 100 * time.Millisecond
)

// HAProxy watches the haproxy processes named in a pidfile. Its check is named
// "haproxy". See the package comment for its rules.
type HAProxy struct {
	cfg config.HAProxy
	log *slog.Logger
}

// NewHAProxy takes Mode and Pidfile from cfg. Mode off is the caller's not to
// build one.
func NewHAProxy(cfg config.HAProxy, log *slog.Logger) *HAProxy {
	return &HAProxy{cfg: cfg, log: log}
}

// Name implements Checker.
func (h *HAProxy) Name() string { return NameHAProxy }

// Run implements Checker.
func (h *HAProxy) Run(ctx context.Context, report func(Update)) error {
	watch := watchFile(h.cfg.Pidfile)
	defer watch.close()
	procs := newProcWatch()
	defer procs.close()

	t := &tracker{
		pidfile: h.cfg.Pidfile,
		auto:    h.cfg.Mode == "auto",
		procs:   procs,
		log:     h.log,
		report: func(u Update) {
			u.Check = h.Name()
			report(u)
		},
	}
	armed := watch.arm()
	t.look(time.Now())
	for {
		wait := slowTick
		if !armed || t.impatient() {
			wait = fastTick
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case e := <-procs.ends:
			t.ended(e)
			t.look(e.at)
		case <-watch.C:
			t.look(time.Now())
		case <-timer.C:
			armed = watch.arm()
			t.look(time.Now())
		}
		timer.Stop()
	}
}

// tracker decides what the pidfile and the processes mean. It belongs to Run's
// goroutine.
type tracker struct {
	pidfile string
	auto    bool
	procs   *procWatch
	log     *slog.Logger
	report  func(Update)

	// followed are the living processes that count as haproxy.
	followed []*haproxyProc
	// named is the last generation that the pidfile named.
	named []generation
	// start is the start time of the oldest process of named.
	start uint64
	// clean tells that the last followed process to end may have been asked to.
	clean bool
	// cause is why the last of them is gone; empty while up.
	cause string
	seen  bool // the pidfile has been there

	known, up bool
	detail    string
	downAt    time.Time
}

// ended takes the end of a process.
func (t *tracker) ended(e ended) {
	defer t.procs.release(e.p)
	for i, h := range t.followed {
		if h.p == e.p {
			t.followed = append(t.followed[:i:i], t.followed[i+1:]...)
			t.clean = e.exit.clean()
			// The first cause stays: a master exits because its worker died.
			if t.cause == "" {
				t.cause = h.deadWith(e.exit)
			}
			for w := range h.workers {
				t.procs.release(w)
			}
			return
		}
		if _, ok := h.workers[e.p]; ok {
			delete(h.workers, e.p)
			if len(h.workers) == 0 {
				h.lost, h.lostExit = e.p.pid, e.exit
			}
			return
		}
	}
}

// look compares the pidfile with the processes and reports what is new.
func (t *tracker) look(at time.Time) {
	pids, err := ReadPidfile(t.pidfile)
	if t.auto && !t.seen {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errPidfileEmpty) {
			t.tell(Update{Up: true, Detail: NotTracked, At: at})
			return
		}
		t.known = false // what was said so far was not about haproxy
	}
	t.seen = true

	named, reason := t.resolve(pids, err)
	next := named
	if len(next) == 0 {
		// A haproxy that starts with -sf removes the pidfile first and
		// writes it last; a pidfile that names nobody takes nothing away
		// from a process that runs.
		next = t.living()
	}
	if len(next) == 0 && len(t.named) > 0 && (err != nil || t.clean) {
		next = t.successors()
		if len(next) == 0 {
			// What was being listed may have forked and gone in the
			// meantime; then it has left the pidfile behind.
			pids, err = ReadPidfile(t.pidfile)
			named, reason = t.resolve(pids, err)
			next = named
		}
	}
	t.follow(next)

	serving, alone := 0, ""
	for _, h := range t.followed {
		if h.refresh(t.procs) {
			serving++
		} else if alone == "" {
			alone = h.alone()
		}
	}
	switch {
	case serving > 0:
		t.serving(len(pids), len(named) > 0, at)
	case t.cause != "":
		t.down(t.cause, at)
	case alone != "":
		t.cause = alone
		t.down(alone, at)
	default:
		t.down(reason, at)
	}
}

// resolve takes what ReadPidfile returned, finds the living haproxies among
// pids, and if there is none says why.
func (t *tracker) resolve(pids []int, err error) (found []*haproxyProc, reason string) {
	if err != nil {
		return nil, pidfileReason(t.pidfile, err)
	}
	for _, pid := range pids {
		h := t.holding(pid)
		if h == nil {
			var err error
			h, err = openHAProxy(t.procs, pid)
			var other notHAProxyError
			switch {
			case errors.As(err, &other):
				reason = fmt.Sprintf("pidfile %s names pid %d, which is %s", t.pidfile, pid, other.comm)
			case errors.Is(err, errNoProcess):
				reason = fmt.Sprintf("pidfile %s names pid %d, which does not run", t.pidfile, pid)
			case err != nil:
				reason = err.Error()
			}
		}
		if h != nil {
			found = append(found, h)
		}
	}
	return found, reason
}

// holding returns the followed process with this pid, if it lives.
func (t *tracker) holding(pid int) *haproxyProc {
	for _, h := range t.followed {
		if h.p.pid == pid && h.p.alive() {
			return h
		}
	}
	return nil
}

func (t *tracker) living() []*haproxyProc {
	var out []*haproxyProc
	for _, h := range t.followed {
		if h.p.alive() {
			out = append(out, h)
		}
	}
	return out
}

// successors finds the processes that were started to replace the generation
// last named. It is only asked for when the old processes have ended by
// themselves, or the pidfile is being written: reading all command lines takes
// a millisecond or so, which a crash need not wait for.
func (t *tracker) successors() []*haproxyProc {
	old := make(map[int]bool)
	for _, g := range t.named {
		old[g.pid] = true
	}
	all, err := listPids()
	if err != nil {
		return nil
	}
	var out []*haproxyProc
	for _, pid := range all {
		if !replaces(readArgs(pid), old) {
			continue
		}
		h, err := openHAProxy(t.procs, pid)
		if err != nil {
			continue
		}
		// A process left over from before pids went round is no successor.
		if h.p.start < t.start {
			t.procs.release(h.p)
			continue
		}
		t.log.Debug("following a reload before the pidfile is written", "pid", pid)
		out = append(out, h)
	}
	return out
}

// follow replaces the followed set. Those that ended in this very moment are
// kept out of it, but held until their end was told.
func (t *tracker) follow(next []*haproxyProc) {
	keep := make(map[*haproxyProc]bool)
	for _, h := range next {
		keep[h] = true
	}
	if len(next) == 0 {
		return
	}
	for _, h := range t.followed {
		if !keep[h] {
			h.release(t.procs)
		}
	}
	t.followed = next
}

func (t *tracker) serving(want int, fromPidfile bool, at time.Time) {
	cause := t.cause
	t.cause, t.clean = "", false
	if !fromPidfile && t.known && t.up {
		return // between two generations: not worth a word
	}
	now := generations(t.followed)
	detail := "running, pid " + describe(now)
	switch {
	case len(t.named) == 0:
	case t.known && !t.up && !t.downAt.IsZero():
		detail = fmt.Sprintf("restarted, pid %s -> %s, down for %v",
			describe(t.named), describe(now), at.Sub(t.downAt).Round(100*time.Microsecond))
	case sameGeneration(t.named, now):
		detail = t.detail
	case len(now) < want:
		detail = fmt.Sprintf("%d of %d processes left, pid %s", len(now), want, describe(now))
		if cause != "" {
			detail += ": " + cause
		}
	default:
		detail = fmt.Sprintf("reloaded, pid %s -> %s", describe(t.named), describe(now))
	}
	if fromPidfile {
		t.named = mergeGeneration(t.named, now)
		t.start = t.followed[0].p.start
		for _, h := range t.followed {
			t.start = min(t.start, h.p.start)
		}
	}
	t.tell(Update{Up: true, Detail: detail, At: at})
}

func (t *tracker) down(reason string, at time.Time) {
	if !t.known || t.up {
		t.downAt = at
	}
	t.tell(Update{Detail: reason, At: at})
}

// tell reports only what is new.
func (t *tracker) tell(u Update) {
	if t.known && t.up == u.Up && t.detail == u.Detail {
		return
	}
	t.known, t.up, t.detail = true, u.Up, u.Detail
	t.report(u)
}

// impatient reports whether something is expected that sends no event.
func (t *tracker) impatient() bool {
	if !t.up {
		return true
	}
	for _, h := range t.followed {
		if h.master && len(h.workers) == 0 {
			return true
		}
	}
	return false
}
