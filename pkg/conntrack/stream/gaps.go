// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"math"
	"slices"
	"time"

	"hafast/pkg/conntrack/wire"
)

// gaps are the runs of numbers that have not arrived while higher ones have. They are
// in the order of their numbers, and that is also the order in which they were found:
// a gap opens above all others.
type gaps struct {
	all  []gap
	told uint64 // gaps up to this number have been told
}

// openEnd is the end of a range of which only the beginning means something: below it
// all has arrived, but for the gaps before. Nothing is said about what lies above. It is
// the highest number that an ack can name.
const openEnd = math.MaxUint64 - 1

type gap struct {
	from, to uint64
	ripe     time.Time // when it is worth telling
}

func (g *gaps) reset() { g.all, g.told = g.all[:0], 0 }

// open adds the numbers from .. to, which lie above all others, if there are any.
func (g *gaps) open(from, to uint64, ripe time.Time) {
	if from <= to {
		g.all = append(g.all, gap{from, to, ripe})
	}
}

// fill takes out a number that has arrived.
func (g *gaps) fill(number uint64) {
	i, _ := slices.BinarySearchFunc(g.all, number, func(g gap, n uint64) int {
		switch {
		case g.to < n:
			return -1
		case g.from > n:
			return 1
		default:
			return 0
		}
	})
	switch at := &g.all[i]; {
	case at.from == at.to:
		g.all = slices.Delete(g.all, i, i+1)
	case number == at.from:
		at.from++
	case number == at.to:
		at.to--
	default:
		upper := gap{number + 1, at.to, at.ripe}
		at.to = number - 1
		g.all = slices.Insert(g.all, i+1, upper)
	}
}

// ripen has every gap told now. The order of age stays, for all get the same.
func (g *gaps) ripen(now time.Time) {
	for i := range g.all {
		g.all[i].ripe = now
	}
}

// ripe is when the first gap is worth telling that was not told yet.
func (g *gaps) ripe() (at time.Time, ok bool) {
	for i := len(g.all) - 1; i >= 0 && g.all[i].from > g.told; i-- {
		at, ok = g.all[i].ripe, true
	}
	return at, ok
}

// tell appends the gaps that are ripe, from the lowest up, as many as an ack can have.
// If they are all told, and more has arrived above them, an open one follows.
func (g *gaps) tell(now time.Time, top uint64, ranges []wire.Range) []wire.Range {
	horizon := top + 1 // below it there is no gap but those told
	for _, gap := range g.all {
		if gap.ripe.After(now) {
			horizon = gap.from
			break
		}
		g.told = gap.to
		if len(ranges) < wire.MaxRanges {
			ranges = append(ranges, wire.Range{From: gap.from, To: gap.to})
		}
	}
	if n := len(ranges); n > 0 && n < wire.MaxRanges && horizon > g.told+1 {
		ranges = append(ranges, wire.Range{From: horizon, To: openEnd})
	}
	return ranges
}
