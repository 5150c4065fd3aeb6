// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"math/bits"
	"time"
)

// LegState is what is known of a leg: the way of flows that a peer's XDP program sends on
// to this host.
type LegState uint8

// The states.
const (
	// LegUnknown: too few probes have been judged.
	LegUnknown LegState = iota
	// LegProved: probes that the peer was asked to send on arrive here.
	LegProved
	// LegLost: they do not, or too few of them.
	LegLost
)

// String is the state's name, fit for status and a metric's label.
func (s LegState) String() string {
	switch s {
	case LegUnknown:
		return "unknown"
	case LegProved:
		return "proved"
	case LegLost:
		return "lost"
	}
	return "invalid"
}

const (
	// LegInterval is how often a leg is probed.
	LegInterval = 50 * time.Millisecond

	// legFirst probes in a row must come back before a leg is believed for the first time:
	// the hosts of a pair use both haproxies a fifth of a second after they have met.
	legFirst = 3
	// legAgain is the same for a leg that was lost.
	legAgain = 10
	// legMisses unanswered ones in a row make it lost.
	legMisses = 8
	// legBad of the last 32 make a leg lost that loses some. A link that loses a tenth has
	// that in one of 30,000 windows.
	legBad = 12
	// legTired unanswered ones in a row, a minute of them, have a leg probed every legSlow
	// only: nobody may be there.
	legTired = int(time.Minute / LegInterval)
	legSlow  = time.Second
)

// Leg judges one leg by whether its probes keep coming back. It is pure. Each time that a
// probe is due it asks whether another one has come back since the last time: on a slow
// machine that may be an earlier one. A prober that was paused has sent nothing meanwhile,
// and accuses nobody.
type Leg struct {
	state  LegState
	sent   bool
	seq    uint32        // of the last probe
	at     time.Duration // when it left
	heard  uint32        // of the last one that has come back
	hits   int           // in a row
	misses int           // in a row
	past   uint32        // a bit for each of the last 32 probes, 1: lost
}

// State is the leg's state.
func (l *Leg) State() LegState { return l.state }

// Step judges the leg by the sequence number that came back last, and returns that
// of the next, which is to be sent now. It is to be called every LegInterval; a call that
// follows the last one too closely, as after a pause, does nothing. Times are since any
// fixed moment.
func (l *Leg) Step(now time.Duration, returned uint32) (seq uint32, send bool) {
	pause := LegInterval / 2
	if l.misses >= legTired {
		pause = legSlow - LegInterval/2
	}
	if l.sent && now-l.at < pause {
		return 0, false
	}
	if l.sent {
		l.judge(returned != l.heard)
	}
	l.sent, l.at, l.heard = true, now, returned
	l.seq++
	return l.seq, true
}

// Unsent takes note that the last probe has not left: it says nothing of the leg.
func (l *Leg) Unsent() { l.sent = false }

func (l *Leg) judge(back bool) {
	l.past <<= 1
	if back {
		l.hits, l.misses = l.hits+1, 0
	} else {
		l.hits, l.misses = 0, l.misses+1
		l.past |= 1
	}
	need := legFirst
	if l.state == LegLost {
		need = legAgain
	}
	switch {
	case l.misses >= legMisses, l.state == LegProved && bits.OnesCount32(l.past) >= legBad:
		l.state = LegLost
	case l.hits >= need && l.state != LegProved:
		l.state, l.past = LegProved, 0
	}
}
