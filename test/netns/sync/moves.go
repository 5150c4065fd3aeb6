// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
	"hafast/test/netns/sync/traffic"
)

// Moves is what becomes of held connections when the routers change over.
type Moves struct {
	System string `json:"system"`
	Round  int    `json:"round"`
	Plan   Plan   `json:"plan"`
	// Held is how many connections there were at first.
	Held  int    `json:"held"`
	Moves []Move `json:"moves"`
	// LoadOK and LoadFailed are of the connections that were made meanwhile.
	LoadOK     uint64 `json:"load_ok"`
	LoadFailed uint64 `json:"load_failed"`
}

// Plan is how they change over: on purpose or by the Active's death.
type Plan struct {
	// Planned is how often they do so on purpose, there and back, one change after the
	// other.
	Planned int `json:"planned"`
	// Deaths is how often the router dies that is Active, each time in a lab of its own.
	Deaths int `json:"deaths"`
	// Lossy has a tenth of the sync link's frames lost, and as many come late.
	Lossy bool `json:"lossy"`
}

// Plans are those that are measured: with and without losses, so many planned changes,
// and so many deaths.
func Plans(planned, deaths int) (plans []Plan) {
	for _, lossy := range []bool{false, true} {
		if planned > 0 {
			plans = append(plans, Plan{Planned: planned, Lossy: lossy})
		}
		if deaths > 0 {
			plans = append(plans, Plan{Deaths: deaths, Lossy: lossy})
		}
	}
	return plans
}

// othersPlanned and othersDeaths bound the changes of systems that are compared with: a
// connection that one of them has lost is waited for until patience ends, at each change.
const (
	othersPlanned = 10
	othersDeaths  = 2
)

// For is as much of the plan as a system carries out. What replicates nothing has lost
// all after one change, and after the next one again what it had learnt since.
func (p Plan) For(sys System) Plan {
	switch {
	case CostOnly(sys):
		return Plan{}
	case sys.Name() == ours:
	case Replicates(sys):
		p.Planned, p.Deaths = min(p.Planned, othersPlanned), min(p.Deaths, othersDeaths)
	case p.Lossy: // There is nothing to lose.
		return Plan{}
	default:
		p.Planned, p.Deaths = min(p.Planned, 2), min(p.Deaths, 1)
	}
	return p
}

// String names the plan.
func (p Plan) String() string {
	name := "host death"
	if p.Planned > 0 {
		name = "planned"
	}
	if p.Lossy {
		name += ", lossy link"
	}
	return name
}

// impairment is that of a lossy plan, another for each seed.
func impairment(seed uint64) lab.Impairment {
	return lab.Impairment{Loss: 0.1, Late: 0.1, Delay: 5 * time.Millisecond, Seed: seed}
}

// Move is what the held connections have seen of one change.
type Move struct {
	// Alive is how many of them have echoed something that was sent after it.
	Alive int `json:"alive"`
	// QuickAlive is how many of the quick ones have.
	QuickAlive int `json:"quick_alive"`
	// LongestMS is the longest that a byte took on any of those, there and back: 200 ms
	// at least where one was lost. QuickMS is the longest that it took on the
	// median of those that send every 5 ms.
	LongestMS float64 `json:"longest_ms"`
	QuickMS   float64 `json:"quick_ms"`
}

// String is the outcome in a few words.
func (m Move) String() string {
	if m.QuickAlive == 0 {
		return fmt.Sprintf("%d alive, silent for %.0f ms", m.Alive, m.LongestMS)
	}
	return fmt.Sprintf("%d alive, silent for %.0f ms, quick ones for %.0f ms", m.Alive, m.LongestMS, m.QuickMS)
}

// String is the outcome in a few words.
func (m Moves) String() string {
	// The same result again and again is told once.
	var alive []string
	var n int
	for first := 0; first < len(m.Moves); first = n {
		for n = first; n < len(m.Moves) && m.Moves[n].Alive == m.Moves[first].Alive; n++ {
		}
		text := fmt.Sprint(m.Moves[first].Alive)
		if n-first > 1 {
			text += fmt.Sprintf(" (%d times)", n-first)
		}
		alive = append(alive, text)
	}
	var quick, longest float64
	for _, move := range m.Moves {
		quick, longest = max(quick, move.QuickMS), max(longest, move.LongestMS)
	}
	return fmt.Sprintf("%s: of %d alive %s; silent for %.0f ms at most, quick ones for %.0f ms; %d of %d new ones failed",
		m.Plan, m.Held, strings.Join(alive, ", "), longest, quick, m.LoadFailed, m.LoadOK+m.LoadFailed)
}

// Moves holds connections under load and carries out the plan.
func (r *Runner) Moves(ctx context.Context, sys System, plan Plan) (Moves, error) {
	result := Moves{System: sys.Name(), Plan: plan, Held: r.held()}
	for n := range max(1, plan.Deaths) {
		if err := r.change(ctx, sys, &result, uint64(n+1)); err != nil {
			return result, err
		}
	}
	return result, nil
}

// change carries out what is done of the plan in one lab, and adds what comes of it.
func (r *Runner) change(ctx context.Context, sys System, result *Moves, seed uint64) error {
	plan := result.Plan
	return inPair(ctx, sys, func(p *pair) error {
		ctx, cancel := context.WithTimeout(ctx, 2*setupTimeout+time.Duration(plan.Planned+1)*(setupTimeout+patience))
		defer cancel()
		if plan.Lossy {
			if err := p.Impair(impairment(seed)); err != nil {
				return err
			}
		}
		if err := p.start(ctx); err != nil {
			return err
		}
		held, err := p.hold(ctx, r.held())
		if err != nil {
			return err
		}
		defer held.Close()
		l, err := p.startLoad(ctx, r.paced())
		if err != nil {
			return err
		}
		defer l.Close()
		if _, err := p.replicated(ctx, r.held()); err != nil {
			return err
		}
		if err := lab.Pass(ctx, warmup); err != nil {
			return err
		}
		moves, err := p.carryOut(ctx, plan, held)
		if err != nil {
			return err
		}
		count, err := l.Count(ctx)
		result.Moves = append(result.Moves, moves...)
		result.LoadOK, result.LoadFailed = result.LoadOK+count.OK, result.LoadFailed+count.Failed
		return err
	})
}

func (p *pair) carryOut(ctx context.Context, plan Plan, held *traffic.Held) (moves []Move, err error) {
	if plan.Planned == 0 {
		m, err := p.hostDeath(ctx, held, patience)
		return []Move{m}, err
	}
	from, to := p.active, p.backup
	for range plan.Planned {
		m, err := p.observe(ctx, held, patience, func() error {
			if err := p.sys.Move(ctx, from); err != nil {
				return err
			}
			return p.changeOver(ctx, to, from)
		})
		if err != nil {
			return moves, err
		}
		moves = append(moves, m)
		from, to = to, from
	}
	return moves, nil
}

// hostDeath is what held connections see of the death of the first router.
func (p *pair) hostDeath(ctx context.Context, held *traffic.Held, patience time.Duration) (Move, error) {
	return p.observe(ctx, held, patience, func() error {
		if err := p.active.SilentDeath(); err != nil {
			return err
		}
		return p.changeOver(ctx, p.backup, nil)
	})
}

const (
	// patience is how long held connections have to come back: TCP sends again after 0.2,
	// 0.6, 1.4 and 3 s.
	patience = 5 * time.Second
	// dwell is the least time between two changes. Each held connection says something
	// three times meanwhile.
	dwell = 1500 * time.Millisecond
)

// observe makes a change, gives the held connections time to come back and returns what
// they have seen.
func (p *pair) observe(ctx context.Context, held *traffic.Held, patience time.Duration, change func() error) (Move, error) {
	if err := held.Reset(ctx); err != nil {
		return Move{}, err
	}
	if err := change(); err != nil {
		return Move{}, err
	}
	moment := traffic.Now()
	if err := lab.Pass(ctx, dwell); err != nil {
		return Move{}, err
	}
	for {
		r, err := held.Read(ctx, moment)
		if err != nil {
			return Move{}, err
		}
		if r.Alive+r.Gone == r.Open || traffic.Now()-moment > patience {
			return moveOf(r), nil
		}
		if err := lab.Pass(ctx, 100*time.Millisecond); err != nil {
			return Move{}, err
		}
	}
}

func moveOf(r traffic.Reading) Move {
	m := Move{Alive: r.Alive, QuickAlive: len(r.Quick), LongestMS: figures.Milliseconds(r.Longest)}
	if m.QuickAlive > 0 {
		m.QuickMS = figures.Milliseconds(r.Quick[m.QuickAlive/2])
	}
	return m
}
