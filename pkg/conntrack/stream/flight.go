// SPDX-License-Identifier: Apache-2.0

package stream

// The bounds of the window, in batches.
const (
	minWindow = 32
	maxWindow = 256
)

// flight limits how many batches are on their way at once: slow start and congestion
// avoidance of RFC 5681 with a high lower bound.
type flight struct {
	window    int    // that may be on their way
	away      int    // that are
	threshold int    // above it the window grows by one each round trip
	credit    int    // arrivals since it last grew so
	used      bool   // the window was used up since the last arrival
	mark      uint64 // a loss up to this number has been answered already
}

func newFlight() flight { return flight{window: minWindow, threshold: maxWindow} }

// restart is for a new epoch, where nothing is on its way and numbers begin anew.
func (f *flight) restart() {
	f.rest()
	f.away, f.credit, f.used, f.mark = 0, 0, false, 0
}

// rest is for a stream that was idle, or whose peer is silent: what the way could bear
// before says nothing now.
func (f *flight) rest() { f.window = minWindow }

// open is how many batches may leave now.
func (f *flight) open() int { return f.window - f.away }

func (f *flight) depart() {
	f.away++
	f.used = f.used || f.away >= f.window
}

// land takes a batch that has arrived, or is lost, off the way.
func (f *flight) land() { f.away-- }

// grow is called with the number of batches that have arrived.
func (f *flight) grow(arrived int) {
	if !f.used {
		return
	}
	f.used = false
	if f.window < f.threshold {
		f.window = min(f.window+arrived, f.threshold)
		return
	}
	f.credit += arrived
	if f.credit >= f.window {
		f.credit = 0
		f.window = min(f.window+1, maxWindow)
	}
}

// halve answers the loss of a batch, once for all that were on their way with it.
func (f *flight) halve(lost, sent uint64) {
	if lost <= f.mark {
		return
	}
	f.mark = sent
	f.threshold = max(f.window/2, minWindow)
	f.window, f.credit = f.threshold, 0
}
