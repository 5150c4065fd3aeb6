// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"math/bits"
	"time"
)

const (
	// lagSpan is the age of the window that lag is told of: between one and two spans.
	lagSpan = 10 * time.Second
	// lagSteps is how many buckets each doubling of the lag has; two neighbours differ by
	// an eighth at most.
	lagSteps = 8
	// lagUnit is what the first buckets are apart.
	lagUnit = time.Microsecond
	// lagBuckets reach to 2^26 us, a good minute.
	lagBuckets = (26 - 2) * lagSteps
)

// Lag is how long changes took until the peer had acknowledged them, over the last 10
// to 20 s. Of the changes that left together the oldest counts. P50 and P99 may be too
// high by an eighth; Max is exact.
type Lag struct {
	P50, P99, Max time.Duration
	Samples       int
}

// lagMeter measures lag in two spans, the current one and the one before.
type lagMeter struct {
	spans [2]lagCounts
	until time.Duration // when the current span ends
}

type lagCounts struct {
	buckets [lagBuckets]uint32
	samples int
	max     time.Duration
}

// add counts a lag.
func (m *lagMeter) add(now, lag time.Duration) {
	m.turn(now)
	s := &m.spans[0]
	s.buckets[lagBucket(lag)]++
	s.samples++
	s.max = max(s.max, lag)
}

func (m *lagMeter) turn(now time.Duration) {
	if now < m.until {
		return
	}
	if now < m.until+lagSpan {
		m.spans[1] = m.spans[0]
	} else {
		m.spans[1] = lagCounts{}
	}
	m.spans[0] = lagCounts{}
	m.until = now + lagSpan
}

// lag returns the figures.
func (m *lagMeter) lag(now time.Duration) Lag {
	m.turn(now)
	a, b := &m.spans[0], &m.spans[1]
	l := Lag{Samples: a.samples + b.samples, Max: max(a.max, b.max)}
	half, most := (l.Samples+1)/2, l.Samples-l.Samples/100
	seen := 0
	for i := range a.buckets {
		n := int(a.buckets[i] + b.buckets[i])
		if seen < half && seen+n >= half {
			l.P50 = min(lagBound(i), l.Max)
		}
		if seen < most && seen+n >= most {
			l.P99 = min(lagBound(i), l.Max)
		}
		seen += n
	}
	return l
}

// lagBucket returns the bucket of a lag: linear below 8 units, above that by its three
// highest bits after the first.
func lagBucket(d time.Duration) int {
	n := uint64(max(d, 0) / lagUnit)
	if n < lagSteps {
		return int(n)
	}
	shift := bits.Len64(n) - 4
	return min((shift+1)*lagSteps+int(n>>shift)-lagSteps, lagBuckets-1)
}

// lagBound is the upper bound of a bucket.
func lagBound(bucket int) time.Duration {
	if bucket < lagSteps {
		return time.Duration(bucket+1) * lagUnit
	}
	shift := bucket/lagSteps - 1
	return time.Duration((lagSteps+bucket%lagSteps+1)<<shift) * lagUnit
}
