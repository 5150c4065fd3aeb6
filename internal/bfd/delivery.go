// SPDX-License-Identifier: Apache-2.0

package bfd

import "time"

// delivery makes events of notices. It belongs to the goroutine that reports.
type delivery struct {
	p *Prober
	// frames is how many had come in when doubt began.
	frames uint64
	// trusted: the last Down needed no second look.
	trusted bool
}

func (d *delivery) handle(n notice) {
	switch n.kind {
	case doubtBegun:
		// A little late, so that none of the frames counted from here on came
		// before the silence.
		d.frames = d.p.frames()
	case changed:
		if n.member.reported == n.transition.To {
			return // catchUp was quicker
		}
		if n.transition.To == Down {
			if n.doubted {
				n.evidence.Frames = d.p.frames() - d.frames
			}
			d.trusted = Trust(n.evidence)
		}
		n.member.reported = n.transition.To
		d.p.report(Event{
			Peer: n.member.peer, From: n.transition.From, To: n.transition.To, At: d.p.clock.time(n.transition.At),
			Run: n.transition.Run, Evidence: n.evidence,
		})
	case doubtOver:
		n.evidence.Frames = d.p.frames() - d.frames
		if d.trusted || n.member == nil || n.member.reported != Down || !Trust(n.evidence) {
			return
		}
		d.trusted = true
		d.p.report(Event{
			Peer: n.member.peer, From: Down, To: Down, At: time.Now(), Evidence: n.evidence,
		})
	}
}

// catchUp takes each session's state as it is, for some notices were lost. When doubt
// began may be among those: frames count from now on at the earliest, and a Down that
// has no other evidence waits for its second look.
func (d *delivery) catchUp() {
	d.frames = d.p.frames()
	for _, m := range d.p.plan.Load().members {
		to, run, evidence := unpack(m.current.Load())
		if to == m.reported {
			continue
		}
		if to == Down {
			d.trusted = Trust(evidence)
		}
		from := m.reported
		m.reported = to
		d.p.report(Event{Peer: m.peer, From: from, To: to, At: time.Now(), Run: run, Evidence: evidence})
	}
}
