// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A host is gone when it has left misses questions in a row unanswered. They
// are askEvery apart.
const (
	askEvery = 500 * time.Millisecond
	misses   = 6
)

// Watch watches hosts whose daemon has said goodbye. Nothing there answers S-BFD any
// more, but their haproxy may still have connections; and if such a host dies later,
// these should not hang. So it is asked for its hardware address, which a kernel tells
// for as long as it runs, with or without a daemon.
//
// Set may be called from any goroutine.
type Watch struct {
	ask    func(netip.Addr) Answer
	frames func() (uint64, error)
	report func(addr netip.Addr, gone bool)

	mu    sync.Mutex
	hosts map[netip.Addr]*absence
}

// New returns a Watch that watches nobody. ask is Ask, or like it;
// frames counts what this host has received; report is called when a host is gone, and
// when one that was gone answers. All are called from Run's goroutine.
func New(ask func(netip.Addr) Answer, frames func() (uint64, error), report func(addr netip.Addr, gone bool)) *Watch {
	return &Watch{ask: ask, frames: frames, report: report, hosts: make(map[netip.Addr]*absence)}
}

// Set replaces whom to watch. What is known of those that stay is kept; the others are
// taken to be there.
func (w *Watch) Set(hosts []netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.hosts, func(a netip.Addr, _ *absence) bool { return !slices.Contains(hosts, a) })
	for _, a := range hosts {
		if w.hosts[a] == nil {
			w.hosts[a] = &absence{}
		}
	}
}

// Run asks until ctx is done.
func (w *Watch) Run(ctx context.Context) error {
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	last := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			last = w.look(last)
		}
	}
}

// look asks all hosts once. It takes and returns how many frames there have been.
func (w *Watch) look(last uint64) uint64 {
	hosts := w.watched()
	if len(hosts) == 0 {
		return last
	}
	frames, err := w.frames()
	if err != nil {
		return last // so nothing seems to have arrived, which accuses nobody
	}
	for addr, absence := range hosts {
		was := absence.gone()
		absence.step(w.ask(addr), frames != last)
		if gone := absence.gone(); gone != was {
			w.report(addr, gone)
		}
	}
	return frames
}

func (w *Watch) watched() map[netip.Addr]*absence {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.hosts)
}

// absence judges one host by what it answers. It is pure; the zero absence is a host
// that is there.
type absence struct {
	missed int
	// arrived has a bit for each of the last questions, the newest first: whether
	// anything at all has arrived here since the one before.
	arrived uint8
	found   bool // to be gone
}

// The halves of the last misses questions.
const (
	newerHalf = 1<<(misses/2) - 1
	olderHalf = newerHalf << (misses / 2)
)

// step takes an answer, and whether anything has arrived here since the last one.
//
// Where nothing arrives, this host may be deaf, and the silence of one that is there:
// something must have come in both in the first and in the second half of the time. A
// client whose packets go unanswered repeats them, so that where there are connections
// to be rescued, there are frames. A host that was deaf hears the answer long before
// half the time is over.
func (a *absence) step(answer Answer, arrived bool) {
	a.arrived <<= 1
	if arrived {
		a.arrived |= 1
	}
	switch answer {
	case Reachable:
		a.missed, a.found = 0, false
	case Unanswered:
		a.missed = min(a.missed+1, misses)
		if a.missed == misses && a.arrived&newerHalf != 0 && a.arrived&olderHalf != 0 {
			a.found = true
		}
	default:
		a.missed = 0
	}
}

func (a *absence) gone() bool { return a.found }
