// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf"
)

// MinWalk is how many entries a Walk must have room for: more than any chain of the
// kernel's hash tables has, each of which is read as a whole.
const MinWalk = 64

// Walk reads the flow tables piece by piece, while packets go on changing them: a flow
// that is there from the first Next to the last is read exactly once, as it is at that
// moment; one that comes or goes meanwhile, once or not at all. To read is not to use:
// it does not keep a flow from being pushed out of a full table. A Walk is for one
// goroutine at a time.
type Walk struct {
	d      *DataPath
	tables []tableWalk // that are not read to the end
}

// tableWalk is a Walk through one table.
type tableWalk interface {
	next(into []Flow, now uint32) (n int, ended bool, err error)
}

// Walk returns one that is at its beginning.
func (d *DataPath) Walk() *Walk {
	return &Walk{d: d, tables: []tableWalk{
		walkOf(d.maps.Tcp4, TCP, d.flow4), walkOf(d.maps.Tcp6, TCP, d.flow6),
		walkOf(d.maps.Udp4, UDP, d.flow4), walkOf(d.maps.Udp6, UDP, d.flow6),
	}}
}

// Next fills a slice, of MinWalk flows or more, from the front and returns how many it
// has put there: perhaps fewer than there is room for, and even none. At the end the
// error is io.EOF, perhaps along with the last flows. It takes some 0.5 us for each flow.
func (w *Walk) Next(into []Flow) (n int, err error) {
	if len(into) < MinWalk {
		return 0, fmt.Errorf("read flows: room for %d, but for at least %d is needed", len(into), MinWalk)
	}
	now, err := w.d.ticks.now()
	if err != nil {
		return 0, err
	}
	for len(w.tables) > 0 && len(into)-n >= MinWalk {
		some, ended, err := w.tables[0].next(into[n:], now)
		n += some
		if err != nil {
			return n, fmt.Errorf("read flows: %w", err)
		}
		if ended {
			w.tables = w.tables[1:]
		}
	}
	if len(w.tables) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// typedWalk is a Walk through a table with keys of type K.
type typedWalk[K any] struct {
	reader entryReader[K]
	proto  uint8
	flow   func(proto uint8, k *K, v *bpfFlow, now uint32) Flow
	keys   []K
	values []bpfFlow
}

func walkOf[K any](m *ebpf.Map, proto uint8, flow func(uint8, *K, *bpfFlow, uint32) Flow) *typedWalk[K] {
	return &typedWalk[K]{reader: readerOf[K](m), proto: proto, flow: flow}
}

func (t *typedWalk[K]) next(into []Flow, now uint32) (n int, ended bool, err error) {
	if len(t.keys) < len(into) {
		t.keys, t.values = make([]K, len(into)), make([]bpfFlow, len(into))
	}
	n, ended, err = t.reader.next(t.keys[:len(into)], t.values[:len(into)])
	for i := range n {
		into[i] = t.flow(t.proto, &t.keys[i], &t.values[i], now)
	}
	return n, ended, err
}
