// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// Buckets is how many buckets a Histogram has, the last one without a bound.
const Buckets = 14

// shortest is the bound of the first bucket; each further one's is twice as much.
const shortest = 16 * time.Microsecond

// Histogram counts durations in fixed buckets. The zero value is ready for use.
type Histogram struct {
	Count          uint64
	Sum            time.Duration
	Last, Min, Max time.Duration
	Buckets        [Buckets]uint64 // not cumulative
}

// BucketBound is the greatest duration of a bucket: 16 us, 32 us and so on up to
// 65.536 ms. The last bucket has none, and returns false.
func BucketBound(i int) (time.Duration, bool) { return shortest << i, i < Buckets-1 }

func (h *Histogram) add(d time.Duration) {
	if h.Count == 0 || d < h.Min {
		h.Min = d
	}
	h.Max = max(h.Max, d)
	h.Last = d
	h.Sum += d
	h.Count++
	i := 0
	if d > shortest {
		i = bits.Len64(uint64((d - 1) / shortest))
	}
	h.Buckets[min(i, Buckets-1)]++
}

// String is for people.
func (h Histogram) String() string {
	if h.Count == 0 {
		return "none"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "n=%d min=%s mean=%s max=%s", h.Count, h.Min, h.Sum/time.Duration(h.Count), h.Max)
	for i, n := range h.Buckets {
		if n == 0 {
			continue
		}
		if bound, ok := BucketBound(i); ok {
			fmt.Fprintf(&b, " <=%s:%d", bound, n)
		} else {
			fmt.Fprintf(&b, " more:%d", n)
		}
	}
	return b.String()
}

// RunLengths is how long a run of misses is told apart from a longer one.
const RunLengths = 16

// Stats is what a session has counted since it began. Once a probe has been
// judged, it is among Answered or Missed: Sent is their sum, and one more while a
// probe is outstanding.
type Stats struct {
	Sent     uint64
	Answered uint64 // before they were judged
	Missed   uint64 // judged unanswered
	Late     uint64 // answered after they were judged; among Missed
	Unsent   uint64 // probes that the kernel did not take
	Ignored  uint64 // replies to no recent probe, older than the last, or in a state no reflector has
	Paused   uint64 // judgements put off, because the prober was late

	// Runs[i] is how many runs of i+1 misses in a row were ended by a reply, the
	// last one counting all that were longer too. What went unanswered before
	// the first reply is in none.
	Runs       [RunLengths]uint64
	LongestRun uint32 // the one that is not over yet included

	RTT Histogram
}

// String is for people.
func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sent=%d answered=%d missed=%d late=%d unsent=%d ignored=%d paused=%d longest run=%d, runs of",
		s.Sent, s.Answered, s.Missed, s.Late, s.Unsent, s.Ignored, s.Paused, s.LongestRun)
	for i, n := range s.Runs {
		if n != 0 {
			fmt.Fprintf(&b, " %d:%d", i+1, n)
		}
	}
	fmt.Fprintf(&b, ", rtt %s", s.RTT)
	return b.String()
}
