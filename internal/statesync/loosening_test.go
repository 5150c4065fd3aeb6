// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/pkg/conntrack/nfct"
	"hafast/pkg/conntrack/record"
)

// TestLoosening: of the entries those are loosened that live long enough, each once, and
// one that takes the name of another is none the worse for it.
func TestLoosening(t *testing.T) {
	key := func(port uint16) record.EntryKey {
		return record.EntryKey{Tuple: record.Tuple{SrcPort: port}}
	}
	start := time.Unix(1000, 0)
	l := newLoosening()
	l.add(start, key(1))
	l.add(start, key(2))
	l.add(start.Add(time.Millisecond), key(1))
	l.add(start.Add(time.Millisecond), key(3))
	l.forget(key(2))
	l.forget(key(3))
	l.add(start.Add(2*time.Millisecond), key(3))

	for _, step := range []struct {
		at   time.Duration
		want []uint16
	}{
		{loosenAfter - 1, nil},
		{loosenAfter, []uint16{1}},
		{loosenAfter + 2*time.Millisecond, []uint16{3}},
		{time.Hour, nil},
	} {
		var got []uint16
		for _, op := range l.due(start.Add(step.at), nil, 9) {
			if op.Action != nfct.Loosen {
				t.Errorf("after %v: %v, want loosening", step.at, op.Action)
			}
			got = append(got, op.Entry.Key.Tuple.SrcPort)
		}
		if len(got) != len(step.want) || len(got) > 0 && got[0] != step.want[0] {
			t.Errorf("after %v: loosened %v, want %v", step.at, got, step.want)
		}
	}
	if len(l.young) != 0 || len(l.queue) != 0 {
		t.Errorf("%d entries and %d places are kept of connections that are settled", len(l.young), len(l.queue))
	}
}

// TestWalkedAreLoosened: connections from before the daemon's start make no event that
// says so. A walk finds them; what a peer has told, or has no window, is left alone.
func TestWalkedAreLoosened(t *testing.T) {
	entry := func(port uint16) record.Entry {
		e := connection(1, int(port))
		e.TCP.FlagsOriginal, e.TCP.FlagsReply = 0, 0
		return e
	}
	before, replica, loose, datagrams := entry(1), entry(2), entry(3), entry(4)
	const beLiberal = 0x08 // IP_CT_TCP_FLAG_BE_LIBERAL of linux/netfilter/nf_conntrack_tcp.h
	loose.TCP.FlagsOriginal, loose.TCP.FlagsReply = beLiberal, beLiberal
	datagrams.Key.Tuple.Proto = unix.IPPROTO_UDP

	for _, tt := range []struct {
		liberal bool
		want    []uint16
	}{{false, []uint16{1}}, {true, nil}} {
		table := &entryTable{
			options: EntryOptions{Liberal: tt.liberal}, told: map[record.EntryKey]told{replica.Key: {}}, loosening: newLoosening(),
		}
		table.walked([]record.Entry{before, replica, loose, datagrams})
		table.walked([]record.Entry{before})
		var got []uint16
		for _, op := range table.due(time.Now().Add(loosenAfter), nil, 9) {
			got = append(got, op.Entry.Key.Tuple.SrcPort)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("liberal %t: loosened %v, want %v", tt.liberal, got, tt.want)
		}
	}
}
