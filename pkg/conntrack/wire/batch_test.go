// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hafast/pkg/conntrack/record"
)

func address(s string) record.Address { return record.AddressOf(netip.MustParseAddr(s)) }

// TestBatchesRoundTrip: whatever is told arrives, in its order, in batches of the size.
func TestBatchesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(minGroups, 1500).Draw(t, "size")
		told := rapid.SliceOfN(genTold, 0, 100).Draw(t, "told")
		w, got := NewBatchWriter(size), &log{}
		flush := func() {
			if w.Len() > size {
				t.Fatalf("batch of %d bytes, over %d", w.Len(), size)
			}
			before := len(got.told)
			if unknown, err := DecodeGroups(w.Groups(), got); err != nil || unknown != 0 {
				t.Fatalf("%d unknown, %v", unknown, err)
			}
			if n := len(got.told) - before; n != w.Records() {
				t.Fatalf("%d records arrived of %d", n, w.Records())
			}
			w.Reset()
		}
		for _, v := range told {
			before := bytes.Clone(w.Groups())
			if !write(w, v) {
				if !bytes.Equal(before, w.Groups()) {
					t.Fatalf("what did not fit has changed the batch")
				}
				flush()
				if !write(w, v) {
					t.Fatalf("%+v does not fit into an empty batch", v)
				}
			}
		}
		flush()
		if d := cmp.Diff(told, got.told); len(told)+len(got.told) > 0 && d != "" {
			t.Fatalf("(-told +arrived):\n%s", d)
		}
	})
}

// TestOfDeletesOnlyTheKeyGoes holds for all fields, and targets take no room.
func TestOfDeletesOnlyTheKeyGoes(t *testing.T) {
	flow := record.Flow{
		Key:    record.FlowKey{Client: address("192.0.2.1"), VIP: address("192.0.2.2"), ClientPort: 1, VIPPort: 2, Proto: 6},
		Target: address("192.0.2.3"), Closing: true, Idle: time.Minute,
	}
	key := record.EntryKey{Tuple: record.Tuple{Src: address("192.0.2.1"), Dst: address("192.0.2.2"), Proto: 17}, Zone: 3}
	entry := record.Entry{
		Key: key, Status: 1, Timeout: time.Minute, Mark: 1, Labels: [16]byte{1}, TCP: record.TCP{State: 1},
		Master: record.EntryKey{Tuple: record.Tuple{Src: address("2001:db8::1")}},
	}
	w, got := NewBatchWriter(1400), &log{}
	if !w.Flow(Delete, flow) || !w.Entry(Delete, &entry) {
		t.Fatal("no room")
	}
	if want := groupHeaderSize + targetCountSize + flow4Size + groupHeaderSize + 2 + 13 + 2; w.Len() != want {
		t.Errorf("%d bytes, want %d", w.Len(), want)
	}
	if _, err := DecodeGroups(w.Groups(), got); err != nil {
		t.Fatal(err)
	}
	want := []any{toldFlow{Delete, record.Flow{Key: flow.Key}}, toldEntry{Delete, record.Entry{Key: key}}}
	if d := cmp.Diff(want, got.told); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTimesSaturate(t *testing.T) {
	for _, c := range []struct{ idle, wantIdle, timeout, wantTimeout time.Duration }{
		{-time.Second, 0, -time.Second, 0},
		{999 * time.Millisecond, 0, 999 * time.Millisecond, 0},
		{1999 * time.Millisecond, time.Second, 1999 * time.Millisecond, time.Second},
		{MaxIdle + time.Hour, MaxIdle, MaxTimeout + time.Hour, MaxTimeout},
		{1<<63 - 1, MaxIdle, 1<<63 - 1, MaxTimeout},
	} {
		w, got := NewBatchWriter(1400), &log{}
		w.Flow(Set, record.Flow{Idle: c.idle})
		w.Entry(Set, &record.Entry{Timeout: c.timeout})
		if _, err := DecodeGroups(w.Groups(), got); err != nil {
			t.Fatal(err)
		}
		if idle := got.told[0].(toldFlow).Flow.Idle; idle != c.wantIdle {
			t.Errorf("idle %s arrived as %s, want %s", c.idle, idle, c.wantIdle)
		}
		if timeout := got.told[1].(toldEntry).Entry.Timeout; timeout != c.wantTimeout {
			t.Errorf("timeout %s arrived as %s, want %s", c.timeout, timeout, c.wantTimeout)
		}
	}
}

// TestManyTargets: a group's table has 32; with more another group begins.
func TestManyTargets(t *testing.T) {
	w, got := NewBatchWriter(maxGroups), &log{}
	var want []any
	for i := range 3*maxTargets + 1 {
		f := record.Flow{Target: record.AddressOf(netip.AddrFrom4([4]byte{10, 0, byte(i / 2), 1}))}
		want = append(want, toldFlow{Audit, f})
		if !w.Flow(Audit, f) {
			t.Fatal("no room")
		}
	}
	if _, err := DecodeGroups(w.Groups(), got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got.told); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestLongScope: a Begin that is larger than a batch goes alone.
func TestLongScope(t *testing.T) {
	b := Begin{Table: Flows, Generation: 1, Scope: make([]record.Address, MaxScope)}
	w, got := NewBatchWriter(1400), &log{}
	w.End(End{Table: Flows})
	if w.Begin(b) {
		t.Fatal("taken into a batch that has something already")
	}
	w.Reset()
	if !w.Begin(b) {
		t.Fatal("not taken into an empty batch")
	}
	if w.End(End{Table: Flows}) || w.Flow(Set, record.Flow{}) {
		t.Error("something more was taken")
	}
	if w.Len() > maxGroups {
		t.Errorf("%d bytes cannot be sent", w.Len())
	}
	if _, err := DecodeGroups(w.Groups(), got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]any{b}, got.told); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	w.Reset()
	b.Scope = append(b.Scope, record.Address{})
	if w.Begin(b) || w.Len() > 0 {
		t.Error("a scope over the maximum was taken")
	}
}

// TestUnknownGroupsArePassedOver, what is between them is not.
func TestUnknownGroupsArePassedOver(t *testing.T) {
	w, got := NewBatchWriter(1400), &log{}
	end := End{Table: Entries, Generation: 3, Count: 4}
	w.End(end)
	groups := slices.Concat(rawGroup(0), rawGroup(6, 1, 2, 3), w.Groups(), rawGroup(255, 1))
	if unknown, err := DecodeGroups(groups, got); err != nil || unknown != 3 {
		t.Errorf("%d unknown, %v", unknown, err)
	}
	if d := cmp.Diff([]any{end}, got.told); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestBadGroups(t *testing.T) {
	flow := make([]byte, flow4Size)
	target := make([]byte, addr6Size)
	with := func(b []byte, at int, value byte) []byte {
		b = slices.Clone(b)
		b[at] = value
		return b
	}
	good := func(what any) []byte {
		w := NewBatchWriter(1400)
		write(w, what)
		return w.Groups()
	}
	begin := good(Begin{Table: Flows, Scope: []record.Address{address("192.0.2.1"), address("2001:db8::1")}})
	end := good(End{Table: Flows})
	entry := good(toldEntry{Set, record.Entry{Status: 1}})
	for name, c := range map[string]struct {
		groups []byte
		want   error
	}{
		"half a header":        {[]byte{1, 0, 0}, errSize},
		"cut off":              {[]byte{1, 0, 0, 1}, errSize},
		"unknown cut off":      {[]byte{99, 0, 0, 1}, errSize},
		"no count of targets":  {rawGroup(1), errSize},
		"targets cut off":      {rawGroup(1, 1), errSize},
		"half a flow":          {rawGroup(1, slices.Concat([]byte{0}, flow[1:])...), errSize},
		"IPv4 flow as IPv6":    {rawGroup(2, slices.Concat([]byte{0}, flow)...), errSize},
		"flow without an op":   {rawGroup(1, slices.Concat([]byte{1}, target, flow)...), errOp},
		"no target":            {rawGroup(1, slices.Concat([]byte{0}, with(flow, 14, 1<<opShift))...), errTarget},
		"second of one target": {rawGroup(1, slices.Concat([]byte{1}, target, with(flow, 14, 1<<opShift|1))...), errTarget},
		"half an entry":        {rawGroup(3, 0), errSize},
		"entry without an op":  {rawGroup(3, with(entry[groupHeaderSize:], 0, 0)...), errOp},
		"entry's new field":    {rawGroup(3, with(entry[groupHeaderSize:], 0, 0x42)...), errFields},
		"entry cut off":        {rawGroup(3, entry[groupHeaderSize:len(entry)-1]...), errSize},
		"no begin":             {rawGroup(4, begin[4:10]...), errSize},
		"scope cut off":        {rawGroup(4, begin[4:len(begin)-1]...), errSize},
		"scope is longer":      {rawGroup(4, append(slices.Clone(begin[4:]), 0)...), errSize},
		"scope of few":         {rawGroup(4, with(begin[4:], 6, 3)...), errSize},
		"scope of too many":    {rawGroup(4, with(begin[4:], 5, 99)...), errScope},
		"scope of fives":       {rawGroup(4, with(begin[4:], 7, 5)...), errSize},
		"table of begin":       {rawGroup(4, with(begin[4:], 0, 3)...), errTable},
		"end cut off":          {rawGroup(5, end[4:16]...), errSize},
		"end is longer":        {rawGroup(5, append(slices.Clone(end[4:]), 0)...), errSize},
		"table of end":         {rawGroup(5, with(end[4:], 0, 0)...), errTable},
	} {
		got := &log{}
		// A good group before it: nothing of the batch may be told.
		unknown, err := DecodeGroups(slices.Concat(end, c.groups), got)
		if !errors.Is(err, RejectBody) || !errors.Is(err, c.want) || unknown != 0 || len(got.told) > 0 {
			t.Errorf("%s: error %v, want %v; told %v", name, err, c.want, got.told)
		}
	}
}

// TestInverse has the kernel's rules for the reply of a connection without NAT.
func TestInverse(t *testing.T) {
	tuple := func(src, dst string, sport, dport uint16, proto uint8) record.Tuple {
		return record.Tuple{Src: address(src), Dst: address(dst), SrcPort: sport, DstPort: dport, Proto: proto}
	}
	for _, c := range []struct{ original, reply record.Tuple }{
		{tuple("10.0.0.1", "10.0.0.2", 1000, 80, 6), tuple("10.0.0.2", "10.0.0.1", 80, 1000, 6)},
		{tuple("10.0.0.1", "10.0.0.2", 77, 8<<8, 1), tuple("10.0.0.2", "10.0.0.1", 77, 0, 1)},
		{tuple("10.0.0.1", "10.0.0.2", 77, 13<<8|1, 1), tuple("10.0.0.2", "10.0.0.1", 77, 14<<8|1, 1)},
		{tuple("fd00::1", "fd00::2", 77, 128<<8, 58), tuple("fd00::2", "fd00::1", 77, 129<<8, 58)},
	} {
		if got := inverse(c.original); got != c.reply {
			t.Errorf("inverse of %+v is %+v, want %+v", c.original, got, c.reply)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		tuple := genTuple.Draw(t, "tuple")
		if again := inverse(inverse(tuple)); again != tuple {
			t.Fatalf("%+v becomes %+v", tuple, again)
		}
	})
}

// TestEntriesMayBeKept: what was handed over stays when the datagram's memory is used
// again.
func TestEntriesMayBeKept(t *testing.T) {
	w, h := NewBatchWriter(1400), &keeper{}
	want := record.Entry{Mark: 5, Labels: [16]byte{1, 2, 3}}
	want.Reply = inverse(want.Key.Tuple)
	w.Entry(Set, &want)
	w.Begin(Begin{Table: Flows, Scope: []record.Address{address("2001:db8::1")}})
	groups := slices.Clone(w.Groups())
	if _, err := DecodeGroups(groups, h); err != nil {
		t.Fatal(err)
	}
	clear(groups)
	if *h.entry != want || h.begin.Scope[0] != address("2001:db8::1") {
		t.Errorf("kept %+v and %+v", *h.entry, h.begin)
	}
}

type keeper struct {
	log
	entry *record.Entry
	begin Begin
}

func (k *keeper) Entry(_ Op, e *record.Entry) { k.entry = e }
func (k *keeper) Begin(b Begin)               { k.begin = b }

func TestFlowsMakeNoGarbage(t *testing.T) {
	w, h := NewBatchWriter(MaxGroups(1500, false)), &counter{}
	flow := record.Flow{Key: record.FlowKey{Client: address("192.0.2.1"), VIP: address("192.0.2.2")}}
	targets := []record.Address{address("192.0.2.3"), address("192.0.2.4")}
	if n := testing.AllocsPerRun(100, func() {
		w.Reset()
		for i := 0; ; i++ {
			flow.Key.ClientPort, flow.Target = uint16(i), targets[i%2]
			if !w.Flow(Set, flow) {
				break
			}
		}
		if _, err := DecodeGroups(w.Groups(), h); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
	if h.flows == 0 || w.Records() != 85 {
		t.Errorf("%d flows arrived; a batch has %d", h.flows, w.Records())
	}
}

// counter is a Handler that counts.
type counter struct{ flows, entries int }

func (c *counter) Flow(Op, record.Flow)    { c.flows++ }
func (c *counter) Entry(Op, *record.Entry) { c.entries++ }
func (c *counter) Begin(Begin)             {}
func (c *counter) End(End)                 {}

func TestRejectsAreLabels(t *testing.T) {
	seen := map[Reject]bool{}
	for _, r := range Rejects() {
		if r == "" || seen[r] || strings.Trim(string(r), "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%q is no label, or is there twice", string(r))
		}
		seen[r] = true
		if !strings.Contains(r.Error(), string(r)) {
			t.Errorf("the error %q does not say %q", r.Error(), string(r))
		}
	}
}
