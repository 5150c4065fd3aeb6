// SPDX-License-Identifier: Apache-2.0

package bfd

// Verdict is what the witness said while the peers were silent.
type Verdict uint8

// The verdicts.
const (
	// NoWitness: none is configured, or it was not asked.
	NoWitness Verdict = iota
	// Silent: it has not answered so far.
	Silent
	// Answered: this host can send and receive.
	Answered
)

// String is the verdict's name, fit for a metric's label.
func (v Verdict) String() string {
	switch v {
	case NoWitness:
		return "none"
	case Silent:
		return "silent"
	case Answered:
		return "answered"
	}
	return "invalid"
}

// Evidence is what is known of this host's own network when a peer goes Down.
type Evidence struct {
	Alive   int     // peers that still answer
	Witness Verdict // ARP replies since the first silence
	Frames  uint64  // frames received since shortly after the first silence
}

// Trust reports whether a peer's silence is the peer's: something has come in since,
// so this host's receive path works. Without trust the verdict is left to the
// adverts, lest a dead network card make a second Active.
//
// Frames without an answer from the witness are enough. This host may then be
// unable to send; but so it cannot claim an address either.
//
// Where nobody can be asked, silence is taken at its word: a host that dies is far
// likelier than a receive path that does, and on a quiet network nothing else would
// tell of it.
func Trust(e Evidence) bool {
	return e.Alive > 0 || e.Witness != Silent || e.Frames > 0
}

// afterthought is for how many ticks the witness is asked and the evidence kept
// open once everybody is Down: routers answer ARP at their leisure.
const afterthought = 100

// doubt decides when this host must look at itself: from the tick at which every
// peer that was there has missed a probe, until one of them answers or a while
// after the last has gone Down. It is pure.
type doubt struct {
	on       bool
	baseline uint64 // the witness's replies when it began
	left     int    // ticks, once everybody is Down
}

// roll is what the sessions look like at one tick.
type roll struct {
	live  int // Up or AdminDown
	quiet int // of these, how many have missed their last probe
	fell  int // how many have gone Down at this tick
}

// alive is how many still answer.
func (r roll) alive() int { return r.live - r.quiet }

// step takes the sessions' state and the witness's replies so far. It tells
// whether doubt has just begun, and whether it has just ended without a peer
// having come back.
func (d *doubt) step(r roll, replies uint64) (begun, over bool) {
	switch {
	case r.alive() > 0:
		*d = doubt{}
	case r.live+r.fell > 0 && !d.on:
		*d = doubt{on: true, baseline: replies, left: afterthought}
		return true, false
	case r.live == 0 && d.on:
		d.left--
		if d.left <= 0 || replies > d.baseline {
			d.on = false
			return false, true
		}
	}
	return false, false
}

// verdict is what the witness has said so far.
func (d *doubt) verdict(replies uint64) Verdict {
	if replies > d.baseline {
		return Answered
	}
	return Silent
}
