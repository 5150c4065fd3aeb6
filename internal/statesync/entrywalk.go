// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"context"
	"io"
	"time"

	"hafast/pkg/conntrack/nfct"
	"hafast/pkg/conntrack/record"
)

// entryWalk reads the kernel's table ahead of who asks for it, in a goroutine of its own:
// the kernel looks through the entries of all network namespaces, which takes it ten
// milliseconds and more, and a takeover cannot wait for that.
type entryWalk struct {
	parts chan []record.Entry
	// failure is set before parts is closed.
	failure error
	stop    context.CancelFunc
	rest    []record.Entry // of the last part
	// found is told what is handed over.
	found func([]record.Entry)
}

const (
	// readAhead is how many parts, of a hundred entries or so, are read before they are
	// asked for.
	readAhead = 4
	// breath is how long is read at a time. As much is rested: the walk of a big table
	// takes a processor for seconds, and the daemon goes before haproxy.
	breath = 2 * time.Millisecond
)

func readEntries(filter nfct.Filter, found func([]record.Entry)) *entryWalk {
	ctx, stop := context.WithCancel(context.Background())
	w := &entryWalk{parts: make(chan []record.Entry, readAhead), stop: stop, found: found}
	walk, err := nfct.NewWalk(filter)
	if err != nil {
		w.failure = err
		close(w.parts)
		return w
	}
	go w.read(ctx, walk)
	return w
}

func (w *entryWalk) read(ctx context.Context, walk *nfct.Walk) {
	defer close(w.parts)
	defer walk.Close()
	began, busy := time.Now(), time.Duration(0)
	for more := true; more; {
		var part []record.Entry
		start := time.Now()
		if more, w.failure = walk.Next(func(e *record.Entry) { part = append(part, *e) }); w.failure != nil {
			return
		}
		busy += time.Since(start)
		select {
		case w.parts <- part:
		case <-ctx.Done():
			return
		}
		if rest := 2*busy - time.Since(began); more && rest >= breath && !sleep(ctx, rest) {
			return
		}
	}
}

// sleep reports whether it was left to sleep.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// Next is conntrack.Walker's. It never waits.
func (w *entryWalk) Next(buf []record.Entry) (n int, err error) {
	for {
		moved := copy(buf[n:], w.rest)
		w.found(w.rest[:moved])
		n, w.rest = n+moved, w.rest[moved:]
		if n == len(buf) {
			return n, nil
		}
		select {
		case part, more := <-w.parts:
			if !more && w.failure != nil {
				return n, w.failure
			}
			if !more {
				return n, io.EOF
			}
			w.rest = part
		default:
			return n, nil
		}
	}
}

// Close is conntrack.Walker's.
func (w *entryWalk) Close() { w.stop() }
