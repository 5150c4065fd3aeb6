// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"time"

	"hafast/test/netns/takeover"
)

// progress writes a line per case with an estimate of the time that is left.
type progress struct {
	out         io.Writer
	done, total int
	started     time.Time
}

func newProgress(out io.Writer, opts takeoverOptions) *progress {
	return &progress{
		out:     out,
		total:   opts.rounds * len(opts.faults) * len(opts.systems),
		started: time.Now(),
	}
}

func (p *progress) report(r takeover.Result, err error) {
	p.done++
	left := time.Since(p.started) / time.Duration(p.done) * time.Duration(p.total-p.done)
	fmt.Fprintf(p.out, "%3d/%d  %-7s left  round %-2d  %-20s  %-17s  %s\n",
		p.done, p.total, left.Round(time.Second), r.Round, r.Fault, r.System, outcome(r, err))
}

// outcome is a case in a few words.
func outcome(r takeover.Result, err error) string {
	switch {
	case err != nil:
		return "error: " + err.Error()
	case r.NotApplicable:
		return "not applicable"
	}
	text := fmt.Sprintf("outage %7.1f ms  failed %4d of %5d  held %3d/%d, other host %3d/%d  %d answer ARP",
		r.OutageMS, r.Failed, r.Attempts, r.Survivors, r.Held, r.SurvivorsOnSurvivor, r.HeldOnSurvivor, r.Responders)
	if r.Interruptions > 1 {
		text += fmt.Sprintf("  in %d pieces", r.Interruptions)
	}
	if !r.AsExpected {
		text += "  the VIP is not where it should be"
	}
	if !r.Recovered {
		text += "  not recovered"
	}
	if r.FailedBefore > 0 {
		text += fmt.Sprintf("  (%d failed before the fault)", r.FailedBefore)
	}
	return text
}
