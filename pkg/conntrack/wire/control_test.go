// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// only returns the content of a body's one part.
func only(t rapid.TB, parts []byte, want PartType) []byte {
	t.Helper()
	p := Parts(parts)
	part, ok := p.Next()
	if !ok || part.Type != want || len(p) > 0 {
		t.Fatalf("part %+v of %x, want one of type %d", part, parts, want)
	}
	return part.Content
}

func TestGreeting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := Greeting{
			Lowest: rapid.Uint8Range(1, 255).Draw(t, "lowest"), Config: rapid.Uint64().Draw(t, "config"),
			Tables: rapid.Uint8().Draw(t, "tables"), Want: rapid.Uint32().Draw(t, "want"),
		}
		g.Highest = rapid.Uint8Range(g.Lowest, 255).Draw(t, "highest")
		parts := AppendGreeting(nil, g)
		if len(parts) != GreetingSize {
			t.Fatalf("%d bytes", len(parts))
		}
		content := only(t, parts, PartGreeting)
		// What a later version appends is passed over.
		later := append(slices.Clone(content), rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "later")...)
		got, err := DecodeGreeting(later)
		if err != nil || got != g {
			t.Fatalf("sent %+v, arrived %+v, %v", g, got, err)
		}
		if _, err := DecodeGreeting(content[:rapid.IntRange(0, len(content)-1).Draw(t, "cut")]); !errors.Is(err, RejectBody) {
			t.Fatalf("cut off: %v", err)
		}
	})
	for _, g := range []Greeting{{Lowest: 0, Highest: 1}, {Lowest: 2, Highest: 1}} {
		if _, err := DecodeGreeting(only(t, AppendGreeting(nil, g), PartGreeting)); !errors.Is(err, RejectBody) {
			t.Errorf("%+v: %v", g, err)
		}
	}
}

func TestVersionsAgree(t *testing.T) {
	for _, c := range []struct {
		a, b    [2]uint8
		version uint8
		ok      bool
	}{
		{[2]uint8{1, 1}, [2]uint8{1, 1}, 1, true},
		{[2]uint8{1, 1}, [2]uint8{1, 2}, 1, true}, // N with N+1
		{[2]uint8{1, 2}, [2]uint8{1, 2}, 2, true},
		{[2]uint8{1, 2}, [2]uint8{2, 3}, 2, true},
		{[2]uint8{1, 1}, [2]uint8{2, 2}, 1, false},
		{[2]uint8{1, 4}, [2]uint8{2, 3}, 3, true},
	} {
		a, b := Greeting{Lowest: c.a[0], Highest: c.a[1]}, Greeting{Lowest: c.b[0], Highest: c.b[1]}
		for range 2 {
			if version, ok := a.Agree(b); ok != c.ok || ok && version != c.version {
				t.Errorf("%v and %v: %d, %t", c.a, c.b, version, ok)
			}
			a, b = b, a
		}
	}
	g := Greeting{Tables: 1 << Entries}
	if g.Has(Flows) || !g.Has(Entries) || g.Has(77) {
		t.Errorf("%+v has the wrong tables", g)
	}
}

func TestAck(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Ack{Epoch: rapid.Uint32().Draw(t, "epoch"), Next: rapid.Uint64Range(1, 1<<40).Draw(t, "next")}
		at := a.Next
		for range rapid.IntRange(0, MaxRanges+5).Draw(t, "ranges") {
			r := Range{From: at + rapid.Uint64Range(0, 9).Draw(t, "skip")}
			r.To = r.From + rapid.Uint64Range(0, 9).Draw(t, "length")
			a.Missing = append(a.Missing, r)
			at = r.To + 1
		}
		parts := AppendAck(nil, a)
		if len(parts) != AckSize(len(a.Missing)) {
			t.Fatalf("%d bytes, said to be %d", len(parts), AckSize(len(a.Missing)))
		}
		content := only(t, parts, PartAck)
		got := Ack{Epoch: 7, Next: 7, Missing: make([]Range, 3)}
		if err := DecodeAck(content, &got); err != nil {
			t.Fatal(err)
		}
		want := a
		want.Missing = a.Missing[:min(len(a.Missing), MaxRanges)]
		if got.Epoch != want.Epoch || got.Next != want.Next || !slices.Equal(got.Missing, want.Missing) {
			t.Fatalf("sent %+v, arrived %+v", want, got)
		}
		cut := rapid.IntRange(0, len(content)-1).Draw(t, "cut")
		if err := DecodeAck(content[:cut], &got); !errors.Is(err, RejectBody) {
			t.Fatalf("cut off at %d: %v", cut, err)
		}
	})
}

func TestAckRefuses(t *testing.T) {
	for name, missing := range map[string][]Range{
		"below next":  {{9, 10}},
		"backward":    {{12, 11}},
		"overlapping": {{10, 12}, {12, 13}},
		"disorder":    {{20, 21}, {10, 11}},
		"no end":      {{10, math.MaxUint64}},
	} {
		var got Ack
		content := only(t, AppendAck(nil, Ack{Next: 10, Missing: missing}), PartAck)
		if err := DecodeAck(content, &got); !errors.Is(err, RejectBody) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := only(t, AppendAck(nil, Ack{Next: 1}), PartAck)
	long = append(long, bytes.Repeat([]byte{0}, (MaxRanges+1)*rangeSize)...)
	long[12] = MaxRanges + 1
	if err := DecodeAck(long, new(Ack)); !errors.Is(err, RejectBody) {
		t.Errorf("too many ranges: %v", err)
	}
}

func TestTip(t *testing.T) {
	want := Tip{Epoch: 0x01020304, Last: 0x05060708090a0b0c}
	parts := AppendTip(nil, want)
	content := only(t, parts, PartTip)
	if got, err := DecodeTip(content); err != nil || got != want || len(parts) != TipSize {
		t.Errorf("%+v, %v, %d bytes", got, err, len(parts))
	}
	for _, bad := range [][]byte{nil, content[:tipSize-1], append(slices.Clone(content), 0)} {
		if _, err := DecodeTip(bad); !errors.Is(err, RejectBody) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func TestBatchHeader(t *testing.T) {
	want := Batch{Epoch: 0x01020304, Number: 0x05060708090a0b0c, Groups: rawGroup(77, 1, 2, 3)}
	parts := AppendBatch(nil, want)
	content := only(t, parts, PartBatch)
	got, err := DecodeBatch(content)
	if d := cmp.Diff(want, got); d != "" || err != nil || len(parts) != BatchSize(want.Groups) {
		t.Errorf("error %v, %d bytes, (-want +got):\n%s", err, len(parts), d)
	}
	for _, bad := range []Batch{{Epoch: 1}, {Epoch: 1, Number: math.MaxUint64}} {
		if _, err := DecodeBatch(only(t, AppendBatch(nil, bad), PartBatch)); !errors.Is(err, RejectBody) {
			t.Errorf("number %d: %v", bad.Number, err)
		}
	}
	if _, err := DecodeBatch(content[:BatchHeaderSize-1]); !errors.Is(err, RejectBody) {
		t.Errorf("cut off: %v", err)
	}
}

func TestPartsInOrder(t *testing.T) {
	body, err := AppendPart(nil, PartHello, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	body = AppendTip(AppendAck(AppendGreeting(body, Greeting{Lowest: 1, Highest: 1}), Ack{}), Tip{})
	body, err = AppendPart(body, 77, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []PartType
	parts := Parts(body)
	for {
		part, ok := parts.Next()
		if !ok {
			break
		}
		got = append(got, part.Type)
		if want := part.Type != 77; part.Type.Known() != want {
			t.Errorf("type %d is known: %t", part.Type, !want)
		}
	}
	if want := []PartType{PartHello, PartGreeting, PartAck, PartTip, 77}; !slices.Equal(got, want) {
		t.Errorf("parts %v, want %v", got, want)
	}
	if b, err := AppendPart([]byte("before"), PartHello, make([]byte, MaxPart+1)); err == nil || string(b) != "before" {
		t.Errorf("part over the maximum: %v", err)
	}
}

func TestMTU(t *testing.T) {
	for _, c := range []struct {
		mtu    int
		ipv6   bool
		body   int
		groups int
	}{
		{1280, false, 1212, 1188},
		{1280, true, 1192, 1168},
		{1500, false, 1432, 1408},
		{1500, true, 1412, 1388},
		{9000, false, 8932, 8908},
		{9000, true, 8912, 8888},
	} {
		if got := MaxBody(c.mtu, c.ipv6); got != c.body {
			t.Errorf("MTU %d, IPv6 %t: body of %d, want %d", c.mtu, c.ipv6, got, c.body)
		}
		if got := MaxGroups(c.mtu, c.ipv6); got != c.groups {
			t.Errorf("MTU %d, IPv6 %t: groups of %d, want %d", c.mtu, c.ipv6, got, c.groups)
		}
		// A full batch makes a packet of the MTU and no more.
		body := AppendBatch(AppendTo(nil, bootB), Batch{Epoch: 1, Number: 1, Groups: make([]byte, c.groups)})
		datagram := sealBody(t, sealer(t, ring(t, 1), bootA), body)
		headers := 28
		if c.ipv6 {
			headers = 48
		}
		if len(datagram)+headers != c.mtu {
			t.Errorf("MTU %d, IPv6 %t: packet of %d bytes", c.mtu, c.ipv6, len(datagram)+headers)
		}
	}
	// The longest Ack fits the smallest MTU of IPv6, a Greeting and a Tip with it.
	if need := ToSize + AckSize(MaxRanges) + TipSize + GreetingSize; need > MaxBody(1280, true) {
		t.Errorf("ack, tip and greeting take %d bytes of %d", need, MaxBody(1280, true))
	}
}
