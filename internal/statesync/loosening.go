// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"time"

	"hafast/pkg/conntrack/nfct"
	"hafast/pkg/conntrack/record"
)

// loosenAfter is how long an own TCP entry lives before its window is given up. Most
// connections are over by then, and need not have it done. It is early enough for those
// that stay: it has to be done before their packets come back from another host.
const loosenAfter = 100 * time.Millisecond

// loosening holds the own TCP entries whose window is to be given up: the peers are told
// of them, so that they may continue at another host and come back, and this one would
// find their packets out of the window that it knows.
type loosening struct {
	young map[record.EntryKey]struct{}
	// queue is in the order of time. What is not in young any more has come to an end.
	queue []youngEntry
}

type youngEntry struct {
	key record.EntryKey
	at  time.Time
}

func newLoosening() loosening { return loosening{young: map[record.EntryKey]struct{}{}} }

// add notes an entry.
func (l *loosening) add(now time.Time, key record.EntryKey) {
	if _, there := l.young[key]; there {
		return
	}
	l.young[key] = struct{}{}
	l.queue = append(l.queue, youngEntry{key, now})
}

// forget drops an entry that is no more.
func (l *loosening) forget(key record.EntryKey) { delete(l.young, key) }

// due appends what is to be done by now, so much at most, which is then no longer noted.
func (l *loosening) due(now time.Time, ops []nfct.Op, most int) []nfct.Op {
	for ; len(l.queue) > 0 && len(ops) < most && now.Sub(l.queue[0].at) >= loosenAfter; l.queue = l.queue[1:] {
		key := l.queue[0].key
		if _, there := l.young[key]; there {
			delete(l.young, key)
			ops = append(ops, nfct.Op{Action: nfct.Loosen, Entry: record.Entry{Key: key}})
		}
	}
	return ops
}
