// SPDX-License-Identifier: Apache-2.0

package wire

// WindowSize is how many counters below the highest one can still be received, for
// datagrams that were overtaken.
const WindowSize = 8192

// window knows which counters of a boot have come. The zero window has seen none.
type window struct {
	highest uint64
	// seen has a bit for each of the WindowSize counters up to highest, at the counter
	// modulo WindowSize.
	seen [WindowSize / 64]uint64
}

// fresh reports whether a counter has not come yet and can be told from those that have.
func (w *window) fresh(counter uint64) bool {
	switch {
	case counter > w.highest:
		return true
	case w.highest-counter >= WindowSize:
		return false
	}
	word, bit := place(counter)
	return w.seen[word]&bit == 0
}

// note marks a fresh counter as come.
func (w *window) note(counter uint64) {
	if counter > w.highest {
		if counter-w.highest >= WindowSize {
			clear(w.seen[:])
		} else {
			for c := w.highest + 1; c < counter; c++ {
				word, bit := place(c)
				w.seen[word] &^= bit
			}
		}
		w.highest = counter
	}
	word, bit := place(counter)
	w.seen[word] |= bit
}

func place(counter uint64) (word int, bit uint64) {
	return int(counter / 64 % (WindowSize / 64)), 1 << (counter % 64)
}
