// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/pkg/conntrack/record"
)

func addr(s string) record.Address { return record.AddressOf(netip.MustParseAddr(s)) }

// plainEntry is an established TCP connection without NAT; i makes it another one.
func plainEntry(i int) record.Entry {
	e := record.Entry{
		Key: record.EntryKey{Tuple: record.Tuple{
			Src: addr("192.0.2.1"), Dst: addr("198.51.100.1"),
			SrcPort: uint16(i), DstPort: uint16(80 + i>>16), Proto: unix.IPPROTO_TCP,
		}},
		Status:  statusConfirmed | statusSeenReply | statusAssured,
		Timeout: time.Hour,
		TCP: record.TCP{
			State: TCPEstablished, ScaleOriginal: 7, ScaleReply: 9,
			FlagsOriginal: tcpWindowScale | tcpSACKPerm, FlagsReply: tcpWindowScale | tcpSACKPerm,
		},
	}
	e.Reply = plainReply(&e)
	return e
}

// natEntry is plainEntry with NAT of the source.
func natEntry(i int) record.Entry {
	e := plainEntry(i)
	e.Status |= statusSrcNAT
	e.Reply.Dst = addr(natAddr)
	return e
}

// TestCopy: what one router has is made in another's table as it was, and is not
// touched again.
func TestCopy(t *testing.T) {
	l := newLab(t, varietyRules)
	makeVariety(t, l)
	entries := masterFirst(l.a.dump(everything()))
	table := l.b.table()
	apply(t, table, Set, entries, Done)

	got := byKey(l.b.dump(everything()))
	for _, e := range entries {
		want, copied := asReplica(e), got[e.Key]
		delete(got, e.Key)
		// The bits that say that NAT has been thought about are set only where there is
		// some; a helper is no part of a record.
		const local = 1<<7 | 1<<8 | 1<<13
		want.Status &^= local
		copied.Status &^= local
		if slack := want.Timeout - copied.Timeout; slack < 0 || slack > 10*time.Second {
			t.Errorf("%v: timeout %v, was %v", e.Key, copied.Timeout, want.Timeout)
		}
		copied.Timeout = want.Timeout
		if copied != want {
			t.Errorf("copied\n%+v, want\n%+v", copied, want)
		}
	}
	for key := range got {
		t.Errorf("more than was copied: %v", key)
	}
	apply(t, table, Set, entries, Same)
	apply(t, table, Check, entries, Same)
	apply(t, table, Delete, entries, Done)
	apply(t, table, Delete, entries, Missing)
	if left := l.b.dump(everything()); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

// masterFirst puts entries behind those that expected them.
func masterFirst(entries []record.Entry) []record.Entry {
	slices.SortFunc(entries, func(a, b record.Entry) int {
		return int(a.Status&statusExpected) - int(b.Status&statusExpected)
	})
	return entries
}

// TestOutcomes: what comes of entries that are there otherwise than told.
func TestOutcomes(t *testing.T) {
	with := func(e record.Entry, change func(*record.Entry)) record.Entry {
		change(&e)
		return e
	}
	related := with(plainEntry(2), func(e *record.Entry) { e.Master = plainEntry(1).Key })
	tests := []struct {
		name  string
		there []record.Entry
		told  record.Entry
		want  Outcome
		// after is what is in the table in the end, by status and the like.
		after func(*record.Entry) bool
	}{
		{"the same", []record.Entry{plainEntry(1)}, plainEntry(1), Same, nil},
		{"NAT, the same", []record.Entry{natEntry(1)}, natEntry(1), Same, nil},
		{
			"another mark",
			[]record.Entry{natEntry(1)},
			with(natEntry(1), func(e *record.Entry) { e.Mark = 5 }), Updated,
			func(e *record.Entry) bool { return e.Mark == 5 && e.Status&statusSrcNAT != 0 },
		},
		{
			"no mark any more",
			[]record.Entry{with(plainEntry(1), func(e *record.Entry) { e.Mark = 5 })},
			plainEntry(1), Updated,
			func(e *record.Entry) bool { return e.Mark == 0 },
		},
		{
			"assured meanwhile",
			[]record.Entry{with(plainEntry(1), func(e *record.Entry) { e.Status &^= statusAssured })},
			plainEntry(1), Updated,
			func(e *record.Entry) bool { return e.Status&statusAssured != 0 },
		},
		{"not assured any more", []record.Entry{plainEntry(1)}, with(plainEntry(1), func(e *record.Entry) { e.Status &^= statusAssured }), Same, nil},
		{
			"another state",
			[]record.Entry{plainEntry(1)},
			with(plainEntry(1), func(e *record.Entry) { e.TCP.State = TCPTimeWait }), Updated,
			func(e *record.Entry) bool { return e.TCP.State == TCPTimeWait },
		},
		{
			"closing",
			[]record.Entry{plainEntry(1)},
			with(plainEntry(1), func(e *record.Entry) { e.TCP.State, e.Timeout = TCPFinWait, time.Minute }), Refreshed,
			func(e *record.Entry) bool { return e.TCP.State == TCPFinWait && e.Timeout <= time.Minute },
		},
		{
			"more time",
			[]record.Entry{with(plainEntry(1), func(e *record.Entry) { e.Timeout = time.Minute })},
			plainEntry(1), Refreshed,
			func(e *record.Entry) bool { return e.Timeout > 59*time.Minute },
		},
		{
			"less time",
			[]record.Entry{plainEntry(1)},
			with(plainEntry(1), func(e *record.Entry) { e.Timeout, e.Mark = time.Minute, 5 }), Kept,
			func(e *record.Entry) bool { return e.Mark == 0 },
		},
		{
			"a fixed timeout",
			[]record.Entry{with(plainEntry(1), func(e *record.Entry) { e.Status |= statusFixedTimeout })},
			with(plainEntry(1), func(e *record.Entry) { e.Status |= statusFixedTimeout; e.Mark = 5 }), Updated,
			func(e *record.Entry) bool { return e.Mark == 5 },
		},
		{
			"NAT where there was none",
			[]record.Entry{plainEntry(1)},
			natEntry(1), Replaced,
			func(e *record.Entry) bool { return e.Status&statusSrcNAT != 0 && e.Reply == natEntry(1).Reply },
		},
		{
			"NAT to another port",
			[]record.Entry{natEntry(1)},
			with(natEntry(1), func(e *record.Entry) { e.Reply.DstPort = 999 }), Replaced,
			func(e *record.Entry) bool { return e.Reply.DstPort == 999 },
		},
		{
			"NAT no more",
			[]record.Entry{natEntry(1)},
			plainEntry(1), Replaced,
			func(e *record.Entry) bool { return e.Status&statusNAT == 0 && e.Reply == plainEntry(1).Reply },
		},
		{"the reply direction is another's", []record.Entry{with(natEntry(2), func(e *record.Entry) { e.Reply.DstPort = 1 })}, natEntry(1), Collision, nil},
		{"the reply direction is another's in another zone", []record.Entry{with(natEntry(2), func(e *record.Entry) { e.Reply.DstPort, e.Key.Zone = 1, 3 })}, natEntry(1), Done, nil},
		{
			"with its master",
			[]record.Entry{plainEntry(1)},
			related, Done,
			func(e *record.Entry) bool { return e.Status&statusExpected != 0 && e.Master == plainEntry(1).Key },
		},
		{"with its master, again", []record.Entry{plainEntry(1), related}, related, Same, nil},
		{
			"with its master, changed",
			[]record.Entry{plainEntry(1), related},
			with(related, func(e *record.Entry) { e.Mark = 5 }), Updated,
			func(e *record.Entry) bool { return e.Mark == 5 && e.Master == plainEntry(1).Key },
		},
		{"without its master", nil, related, Orphaned, func(e *record.Entry) bool { return e.Status&statusExpected == 0 }},
		{"labels that no rule uses", []record.Entry{plainEntry(1)}, with(plainEntry(1), func(e *record.Entry) { e.Labels[0] = 1 }), Updated, nil},
		{
			"a scale beyond all bounds", nil, with(plainEntry(1), func(e *record.Entry) { e.TCP.ScaleReply = 15 }), Done,
			func(e *record.Entry) bool { return e.TCP.ScaleReply == 14 },
		},
		{"a state that there is not", nil, with(plainEntry(1), func(e *record.Entry) { e.TCP.State = 10 }), Refused, nil},
		{"no time left", nil, with(plainEntry(1), func(e *record.Entry) { e.Timeout = 0 }), Done, nil},
		{"addresses of two families", nil, with(plainEntry(1), func(e *record.Entry) { e.Key.Tuple.Dst = addr("2001:db8::1") }), Refused, nil},
		{"a reply of another family", nil, with(plainEntry(1), func(e *record.Entry) { e.Reply.Src = addr("2001:db8::1") }), Refused, nil},
	}
	l := newLab(t, routerRules)
	for _, test := range tests {
		for _, action := range []Action{Set, Check} {
			table := l.a.table()
			apply(t, table, Set, test.there, Done)
			ops := []Op{{Action: action, Entry: test.told}}
			tally, err := table.Apply(ops)
			if err != nil {
				t.Fatal(err)
			}
			if ops[0].Outcome != test.want || tally.Counts[test.want] != 1 {
				t.Errorf("%s, action %d: %v (%v), want %v", test.name, action, ops[0].Outcome, tally.Refusal, test.want)
			}
			if (tally.Refusal != nil) != (test.want == Refused) {
				t.Errorf("%s: refusal %v", test.name, tally.Refusal)
			}
			if got, ok := l.a.lookUp(table, test.told.Key); test.after != nil && (!ok || !test.after(&got)) {
				t.Errorf("%s, action %d: in the end %+v", test.name, action, got)
			}
			l.a.run("conntrack", "-F")
		}
	}
}

// lookUp asks for one entry.
func (h *host) lookUp(table *Table, key record.EntryKey) (entry record.Entry, ok bool) {
	h.t.Helper()
	err := table.Get([]record.EntryKey{key}, func(_ int, e *record.Entry) { entry, ok = *e, true })
	if err != nil {
		h.t.Fatal(err)
	}
	return entry, ok
}

// TestBatchInOrder: ops of one batch about one entry leave what the last of them
// wanted, although the first needs a second round trip.
func TestBatchInOrder(t *testing.T) {
	l := newLab(t, routerRules)
	table := l.a.table()
	apply(t, table, Set, []record.Entry{plainEntry(1), plainEntry(2)}, Done)
	changed := plainEntry(1)
	changed.Mark = 5
	// The port of an entry that has gone is given to another connection.
	collides := natEntry(3)
	taken := natEntry(4)
	taken.Reply.DstPort = collides.Reply.DstPort
	apply(t, table, Set, []record.Entry{taken}, Done)
	ops := []Op{
		{Action: Set, Entry: changed},
		{Action: Delete, Entry: changed},
		{Action: Delete, Entry: plainEntry(2)},
		{Action: Set, Entry: plainEntry(2)},
		{Action: Delete, Entry: taken},
		{Action: Set, Entry: collides},
	}
	if _, err := table.Apply(ops); err != nil {
		t.Fatal(err)
	}
	want := []Outcome{Superseded, Done, Done, Done, Done, Done}
	for i := range ops {
		if ops[i].Outcome != want[i] {
			t.Errorf("op %d: %v, want %v", i, ops[i].Outcome, want[i])
		}
	}
	keys := slices.Collect(maps.Keys(byKey(l.a.dump(everything()))))
	if len(keys) != 2 || !slices.Contains(keys, plainEntry(2).Key) || !slices.Contains(keys, collides.Key) {
		t.Errorf("left: %v", keys)
	}
}

// TestFull: a full table is named, and takes entries again when there is room. All
// namespaces have the limit of the first one, so that the test fills its own up to it.
func TestFull(t *testing.T) {
	l := newLab(t, routerRules)
	table := l.a.table()
	_, limit, err := table.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if limit == 0 || limit > 1<<19 {
		t.Skipf("nf_conntrack_max is %d: filling the table takes too long", limit)
	}
	ops := make([]Op, limit)
	for i := range ops {
		ops[i].Entry = plainEntry(i)
	}
	if tally, err := table.Apply(ops); err != nil || tally.Counts[Done] != limit {
		t.Fatalf("filling: %+v, %v", tally, err)
	}
	if entries, _, err := table.Usage(); err != nil || entries != limit {
		t.Errorf("%d entries (%v), want %d", entries, err, limit)
	}
	apply(t, table, Set, []record.Entry{plainEntry(limit), plainEntry(limit + 1)}, Full)
	apply(t, table, Check, []record.Entry{plainEntry(limit)}, Full)
	apply(t, table, Set, []record.Entry{plainEntry(0)}, Same)
	apply(t, table, Delete, []record.Entry{plainEntry(0)}, Done)
	apply(t, table, Set, []record.Entry{plainEntry(limit)}, Done)
}

func TestApplyAllocatesNothing(t *testing.T) {
	l := newLab(t, routerRules)
	table := l.a.table()
	ops := make([]Op, 2*batchSize)
	for i := range batchSize {
		ops[i] = Op{Action: Set, Entry: natEntry(i)}
		ops[batchSize+i] = Op{Action: Delete, Entry: natEntry(i)}
	}
	if n := testing.AllocsPerRun(20, func() {
		if _, err := table.Apply(ops); err != nil {
			t.Fatal(err)
		}
	}); n > 4 {
		t.Errorf("%v allocations for %d entries, want a few for the whole batch", n, len(ops))
	}
}
