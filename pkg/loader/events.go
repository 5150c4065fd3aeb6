// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// EventKind is what has become of a flow: enum event_kind of bpf/abi.h.
type EventKind uint8

// The kinds of events.
const (
	// FlowCreated by the first ACK of a connection, or by a first datagram.
	FlowCreated EventKind = iota + 1
	// FlowClosing: the first FIN or RST has gone by.
	FlowClosing
	// FlowMoved: a SYN or a datagram has begun the flow anew, since its target had died
	// or it was closing. The target may be the one that it was.
	FlowMoved
)

func (k EventKind) String() string {
	switch k {
	case FlowCreated:
		return "created"
	case FlowClosing:
		return "closing"
	case FlowMoved:
		return "moved"
	}
	return fmt.Sprintf("event %d", uint8(k))
}

// FlowEvent is news of a flow, and how it was then; it had just had a packet.
type FlowEvent struct {
	Kind EventKind
	Flow Flow
}

// events reads what the program tells of flows.
type events struct {
	listener *memory[bpfListener]

	mu     sync.Mutex
	ring   *ringbuf.Reader
	record ringbuf.Record
	lost   uint64 // of which FlowEvents has told
}

func newEvents(ring, listener *ebpf.Map) (*events, error) {
	l, err := mapMemory[bpfListener](listener)
	if err != nil {
		return nil, err
	}
	r, err := ringbuf.NewReader(ring)
	if err != nil {
		return nil, fmt.Errorf("map the ring of flow events into memory: %w", err)
	}
	r.SetDeadline(time.Unix(0, 0)) // never wait
	return &events{listener: l, ring: r}, nil
}

func (e *events) listen(on bool) {
	var v uint32
	if on {
		v = 1
	}
	e.listener.use(0, func(l *bpfListener) { atomic.StoreUint32(&l.On, v) })
}

func (e *events) close() error {
	e.listen(false)
	return e.ring.Close()
}

// ListenFlows reports whether the program puts what becomes of flows into a ring for
// FlowEvents, which it does not at first. It is the program of this process that does:
// who wants to know of all flows listens, attaches, and then reads the tables. Close
// ends it.
//
// An event costs the packet that it is about some 50 ns, and half of that when the
// ring is full.
func (d *DataPath) ListenFlows(on bool) { d.events.listen(on) }

// FlowEvents fills a slice from the front with what is in the ring, oldest first, and
// never waits. lost is how many events have found the ring full since the last call:
// what has become of flows is then to be seen in the tables alone.
//
// There is one ring for all processors. A flow's events are in order as far as its
// packets are handled by one of them.
func (d *DataPath) FlowEvents(into []FlowEvent) (n int, lost uint64, err error) {
	e := d.events
	e.mu.Lock()
	defer e.mu.Unlock()
	for n < len(into) {
		err := e.ring.ReadInto(&e.record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if errors.Is(err, os.ErrClosed) {
			return n, 0, errClosed
		}
		if err == nil && len(e.record.RawSample) < int(unsafe.Sizeof(bpfEvent{})) {
			err = fmt.Errorf("a record of %d bytes", len(e.record.RawSample))
		}
		if err != nil {
			return n, 0, fmt.Errorf("read flow events: %w", err)
		}
		into[n] = (*bpfEvent)(unsafe.Pointer(&e.record.RawSample[0])).decode()
		n++
	}
	e.listener.use(0, func(l *bpfListener) {
		now := atomic.LoadUint64(&l.Lost)
		lost, e.lost = now-e.lost, now
	})
	return n, lost, nil
}

func (e *bpfEvent) decode() FlowEvent {
	f := Flow{Proto: e.Proto, Place: int(e.Target), Closing: EventKind(e.Kind) == FlowClosing, Service: e.Service}
	f.Client, f.VIP = endsOf(&e.Key, e.Ipv6)
	return FlowEvent{Kind: EventKind(e.Kind), Flow: f}
}
