// SPDX-License-Identifier: Apache-2.0

package flowsync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hafast/internal/control"
	"hafast/test/netns/figures"
)

const (
	// probeEvery is the pause between two flows that are looked for.
	probeEvery = 5 * time.Millisecond
	// lookEvery is the pause between two looks, and so the error of a sample.
	lookEvery = 100 * time.Microsecond
	// lostAfter is how long a flow is looked for.
	lostAfter = 2 * time.Second
)

// Lag is how long after its first packet is sent a flow is in the other host's table.
type Lag struct {
	// MS has the samples in milliseconds, in order of size. Missing are those that
	// were not there in time.
	MS      []float64 `json:"ms"`
	Missing int       `json:"missing"`
	// Own is what the daemon says: from the event in its ring until the peer's
	// acknowledgement, over the last 10 to 20 s. Nil if it says nothing.
	Own *control.SyncLag `json:"own"`
}

// String is the outcome in a few words.
func (l Lag) String() string {
	p50, p99, most := figures.Lags(l.MS)
	text := "p50 " + p50 + " p99 " + p99 + " max " + most
	if l.Own != nil {
		text += fmt.Sprintf(" (own p99 %.1f)", l.Own.P99MS)
	}
	if l.Missing > 0 {
		text += fmt.Sprintf(" (%d missing)", l.Missing)
	}
	return text
}

// lagTime is roughly how long the lag is measured.
func (r *Runner) lagTime() time.Duration { return time.Duration(r.probes()) * 2 * probeEvery }

// prober begins flows one by one and looks for each on the backup.
type prober struct {
	*pair
	generator *generator
	table     *table
	n         int
}

func (p *pair) prober(proto string, n int) (*prober, error) {
	g, err := p.generator(proto, firstProbe)
	if err != nil {
		return nil, err
	}
	t, err := p.flowsOf(p.backup, proto)
	if err != nil {
		g.close()
		return nil, err
	}
	return &prober{pair: p, generator: g, table: t, n: n}, nil
}

func (p *prober) close() {
	p.generator.close()
	p.table.close()
}

// lag follows some flows.
func (p *prober) lag(ctx context.Context) (l Lag, err error) {
	for range p.n {
		if ctx.Err() != nil {
			return l, context.Cause(ctx)
		}
		sleepUntil(monotonic() + int64(probeEvery))
		switch ms, err := p.follow(); {
		case errors.Is(err, errMissing):
			l.Missing++
		case err != nil:
			return l, err
		default:
			l.MS = append(l.MS, ms)
		}
	}
	slices.Sort(l.MS)
	s, err := p.sync(ctx, p.active)
	if err == nil {
		l.Own = s.Peers[0].Lag
	}
	return l, err
}

// errMissing is returned for a flow that the other host never had.
var errMissing = errors.New("not replicated")

// follow begins a flow and returns after how many milliseconds the other host has it.
func (p *prober) follow() (ms float64, err error) {
	began := monotonic()
	who, err := p.generator.send()
	for err == nil {
		var found bool
		found, err = p.table.has(who)
		now := monotonic()
		switch lag := time.Duration(now - began); {
		case found:
			return figures.Milliseconds(lag), nil
		case lag > lostAfter:
			return 0, errMissing
		}
		sleepUntil(now + int64(lookEvery))
	}
	return 0, err
}
