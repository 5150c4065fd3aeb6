// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"cmp"
	"time"
)

// Limits bound what one end of a stream holds in memory. A receiver should have no less
// than its sender: what it cannot hold has to be sent again.
type Limits struct {
	Batches int // 0: 1024
	Bytes   int // of payloads; 0: 4 MiB
}

func (l Limits) withDefaults() Limits {
	return Limits{Batches: cmp.Or(l.Batches, 1024), Bytes: cmp.Or(l.Bytes, 4<<20)}
}

// How often a receiver acknowledges.
const (
	// ackInterval is the time between acks while batches come in order.
	ackInterval = 10 * time.Millisecond
	// ackEvery is how many batches bring an ack sooner. It is half of the smallest
	// window, so that a sender in bulk never waits for ackInterval.
	ackEvery = 16
	// ackSpacing is the least time between acks for any other reason.
	ackSpacing = time.Millisecond
	// maxRepeats is how many acks leave in a row, each after ackInterval, if there is a gap
	// and nothing comes: the first may be lost.
	maxRepeats = 3
	// gapAge is how old a gap is when it is told: younger ones may be reordering.
	gapAge = 2 * time.Millisecond
)
