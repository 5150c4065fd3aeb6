// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// AttemptTimeout is the time a fresh connection has for connecting, asking and
// getting the whole page.
const AttemptTimeout = 100 * time.Millisecond

// Outcome is how an attempt ended.
type Outcome uint8

// Outcomes. All but OK are failures.
const (
	OK Outcome = iota
	// Refused: a host without a listener answered.
	Refused
	// TimedOut: not done within AttemptTimeout.
	TimedOut
	// Broken: reset, unreachable or a wrong answer.
	Broken
)

// Attempt is one fresh connection.
type Attempt struct {
	// Start is in nanoseconds of CLOCK_MONOTONIC, which all processes share.
	Start   int64
	Took    time.Duration
	Outcome Outcome
}

// MarshalJSON writes [start ns, took us, outcome]: there are ten thousand of them.
func (a Attempt) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%d,%d,%d]", a.Start, a.Took.Microseconds(), a.Outcome), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (a *Attempt) UnmarshalJSON(b []byte) error {
	var fields [3]int64
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	*a = Attempt{Start: fields[0], Took: time.Duration(fields[1]) * time.Microsecond, Outcome: Outcome(fields[2])}
	return nil
}

// Outage is what a sequence of attempts says about one fault.
type Outage struct {
	// Duration from the start of the first failed attempt to the start of the first
	// one after the last failure; 0 without failures. It is conservative: successes
	// in between do not interrupt it.
	Duration time.Duration
	// Attempts and Failed count the attempts that were under way at the fault or
	// started later.
	Attempts, Failed int
	// Interruptions is how many pieces the outage is made of: failures with at
	// least AttemptTimeout of success between them. More than one may mean a flapping
	// takeover, or a machine that was too busy to answer in time.
	Interruptions int
	// Recovered is false when the last attempt failed too; Duration is
	// then how long was measured.
	Recovered bool
	// FailedBefore counts failures that had nothing to do with the fault: the attempt
	// was over before it. More than none casts doubt on the measurement.
	FailedBefore int
}

// FindOutage computes the outage from the attempts around a fault at a time
// in nanoseconds of CLOCK_MONOTONIC. The attempts may be in any order.
func FindOutage(attempts []Attempt, fault int64) Outage {
	sorted := slices.SortedFunc(slices.Values(attempts), func(a, b Attempt) int { return cmp.Compare(a.Start, b.Start) })
	out := Outage{Recovered: true}
	// first is the first failure, end what the outage has lasted to so far: the
	// last failure, or the success after it.
	var first, end int64
	for _, a := range sorted {
		before := a.Start+int64(a.Took) < fault
		if !before {
			out.Attempts++
		}
		switch {
		case a.Outcome == OK && !out.Recovered:
			out.Recovered, end = true, a.Start
		case a.Outcome == OK:
		case before:
			out.FailedBefore++
		default:
			if out.Failed == 0 {
				first = a.Start
			}
			if out.Failed == 0 || out.Recovered && a.Start-end >= int64(AttemptTimeout) {
				out.Interruptions++
			}
			out.Failed++
			out.Recovered, end = false, a.Start
		}
	}
	out.Duration = time.Duration(end - first)
	return out
}
