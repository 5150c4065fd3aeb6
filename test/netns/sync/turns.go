// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hafast/test/netns/figures"
)

// Turns is how many connections are made with a system and without its replication, each
// in turn for a second: a machine whose processors are not its own may be twice as quick
// half a minute later.
type Turns struct {
	System  string `json:"system"`
	Without string `json:"without"`
	Round   int    `json:"round"`
	// With and Alone are connections per second, those of the nth turns.
	With  []float64 `json:"with"`
	Alone []float64 `json:"alone"`
}

// Shares are with of alone, each of the turns by what the other has made before it and
// after it; sorted.
func (t Turns) Shares() (all []float64) {
	for i, with := range t.With {
		alone := t.Alone[i]
		if i+1 < len(t.Alone) {
			alone = (alone + t.Alone[i+1]) / 2
		}
		all = append(all, with/alone)
	}
	slices.Sort(all)
	return all
}

// String is the outcome in a few words.
func (t Turns) String() string {
	shares := t.Shares()
	return fmt.Sprintf("%.1f %% of the rate of %s in turn, quartiles %.1f and %.1f %%", 100*figures.Percentile(shares, 0.5),
		t.Without, 100*figures.Percentile(shares, 0.25), 100*figures.Percentile(shares, 0.75))
}

const (
	// turn is how long each is measured, settling what comes before. So many turns end
	// before the first connections expire.
	turn     = time.Second
	settling = 250 * time.Millisecond
	turns    = 16
)

// Turns measures it, for a system that adds to another one ([Adds]).
func (r *Runner) Turns(ctx context.Context, sys System) (Turns, error) {
	result := Turns{System: sys.Name(), Without: without(sys.Name())}
	other, err := NewSystem(result.Without)
	if err != nil {
		return result, err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*setupTimeout+2*turns*2*(turn+settling))
	defer cancel()
	err = inPair(ctx, other, func(alone *pair) error {
		return inPair(ctx, sys, func(with *pair) error {
			for _, p := range []*pair{alone, with} {
				if err := p.start(ctx); err != nil {
					return err
				}
			}
			for range turns {
				for _, side := range []struct {
					pair  *pair
					rates *[]float64
				}{{alone, &result.Alone}, {with, &result.With}} {
					u, err := side.pair.measureLoad(ctx, unpaced, settling, turn)
					if err != nil {
						return err
					}
					*side.rates = append(*side.rates, u.perSecond())
				}
			}
			return nil
		})
	})
	return result, err
}
