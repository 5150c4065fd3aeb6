// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"context"
	"time"

	"hafast/pkg/loader"
)

// limits are how long a flow may be idle before it is forgotten. A connection that is
// forgotten too early gets its second chance at its next packet.
var limits = loader.IdleLimits{Established: 24 * time.Hour, Closing: time.Minute, UDP: 3 * time.Minute}

// The first sweep lets a daemon that takes over do so undisturbed. Each visits every
// flow, which takes about half a second for a million.
const (
	firstSweep = 5 * time.Second
	sweepEvery = 30 * time.Second
)

// Tally is how many flows there were when they were counted last. The kernel keeps no
// count.
type Tally struct {
	loader.FlowCounts
	At time.Time
}

// Total is of all tables.
func (t Tally) Total() int { return t.TCP4 + t.TCP6 + t.UDP4 + t.UDP6 }

// Sweep forgets idle flows until ctx is done, and counts the others.
func (p *Path) Sweep(ctx context.Context) error {
	timer := time.NewTimer(firstSweep)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			if n, err := p.sweep(); err != nil {
				p.log.Warn("idle flows stay in the table", "error", err)
			} else if n > 0 {
				p.log.Debug("idle flows forgotten", "flows", n)
			}
			timer.Reset(sweepEvery)
		}
	}
}

func (p *Path) sweep() (forgotten int, err error) {
	p.counting.Lock()
	defer p.counting.Unlock()
	var left Tally
	forgotten, err = p.DeleteFlows(func(f loader.Flow) bool {
		if limits.Exceeded(f) {
			return true
		}
		left.add(f)
		return false
	})
	if err == nil {
		left.At = time.Now()
		p.tally.Store(&left)
	}
	return forgotten, err
}

func (t *Tally) add(f loader.Flow) {
	table := &t.TCP4
	switch four := f.VIP.Addr().Unmap().Is4(); {
	case f.Proto == loader.UDP && four:
		table = &t.UDP4
	case f.Proto == loader.UDP:
		table = &t.UDP6
	case !four:
		table = &t.TCP6
	}
	*table++
}

// Counted is the last Tally; false if nobody has counted yet.
func (p *Path) Counted() (Tally, bool) {
	if t := p.tally.Load(); t != nil {
		return *t, true
	}
	return Tally{}, false
}

// Count is Counted, and visits the flows if that was not done within maxAge.
func (p *Path) Count(maxAge time.Duration) (Tally, error) {
	p.counting.Lock()
	defer p.counting.Unlock()
	if last, ok := p.Counted(); ok && time.Since(last.At) < maxAge {
		return last, nil
	}
	counts, err := p.FlowCounts()
	if err != nil {
		return Tally{}, err
	}
	now := Tally{counts, time.Now()}
	p.tally.Store(&now)
	return now, nil
}
