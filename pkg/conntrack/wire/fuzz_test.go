// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hafast/pkg/conntrack/record"
)

// FuzzOpen opens anything, as it came and, with sealed, as the body of an authentic
// datagram. The error is always a Reject, and what is accepted is well-formed.
func FuzzOpen(f *testing.F) {
	keys := ring(f, 1)
	a := sealer(f, keys, bootA)
	f.Add(true, false, seal(f, a, bootB))
	f.Add(true, true, AppendTo(nil, bootB))
	f.Add(true, true, AppendBatch(AppendTip(AppendTo(nil, bootB), Tip{}), Batch{Number: 1}))
	f.Add(false, false, seal(f, sealer(f, ring(f), bootA), bootB))
	f.Add(false, true, AppendGreeting(AppendTo(nil, 0), Greeting{Lowest: 1, Highest: 1}))
	f.Fuzz(func(t *testing.T, keyed, sealed bool, b []byte) {
		r := keys
		if !keyed {
			r = ring(t)
		}
		o, from := NewOpener(r, bootB), sealer(t, r, bootA)
		datagram := slices.Clone(b)
		if sealed {
			datagram = sealBody(t, from, b)
		}
		got, err := o.Open(epoch, datagram)
		if err != nil {
			var reject Reject
			if !errors.As(err, &reject) || !slices.Contains(Rejects(), reject) || got.Parts != nil || o.To() != 0 {
				t.Fatalf("error is %T %v beside %+v", err, err, got)
			}
			return
		}
		if got.Boot == 0 || o.To() != got.Boot || got.Ours != (o.Live() == got.Boot) {
			t.Fatalf("accepted %+v, live %x, to %x", got, o.Live(), o.To())
		}
		var again []byte
		for parts := got.Parts; len(parts) > 0; {
			part, ok := parts.Next()
			if !ok {
				t.Fatalf("accepted a part that is cut off: %x", got.Parts)
			}
			if again, err = AppendPart(again, part.Type, part.Content); err != nil {
				t.Fatal(err)
			}
		}
		if len(again) != len(got.Parts) {
			t.Fatalf("%x is written again as %x", got.Parts, again)
		}
	})
}

// FuzzParts decodes each part of anything: the error is always RejectBody, and what
// decodes encodes to the very bytes it came from, but for what a later version appends.
func FuzzParts(f *testing.F) {
	f.Add(AppendGreeting(nil, Greeting{Lowest: 1, Highest: 2, Config: 3, Tables: 6, Want: 5}))
	f.Add(AppendTip(AppendAck(nil, Ack{Epoch: 1, Next: 2, Missing: []Range{{3, 4}, {5, 5}}}), Tip{1, 2}))
	f.Add(AppendBatch(nil, Batch{Epoch: 1, Number: 2, Groups: []byte{3}}))
	f.Add([]byte{1, 0, 0, 0, 99, 0, 0, 1, 7, 4, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		parts := Parts(b)
		for {
			part, ok := parts.Next()
			if !ok {
				return
			}
			again, content, err := recode(part)
			if err != nil {
				if !errors.Is(err, RejectBody) {
					t.Fatalf("error is %v", err)
				}
				continue
			}
			if got := only(t, again, part.Type); !slices.Equal(got, content) {
				t.Fatalf("%x is written again as %x", content, got)
			}
		}
	})
}

// recode decodes a part and encodes it; content is what it should be like then.
func recode(part Part) (again, content []byte, err error) {
	content = part.Content
	switch part.Type {
	case PartGreeting:
		g, err := DecodeGreeting(content)
		if err != nil {
			return nil, nil, err
		}
		content = slices.Clone(content[:greetingSize])
		content[3] = 0 // reserved
		return AppendGreeting(nil, g), content, nil
	case PartAck:
		var a Ack
		if err := DecodeAck(content, &a); err != nil {
			return nil, nil, err
		}
		return AppendAck(nil, a), content, nil
	case PartTip:
		t, err := DecodeTip(content)
		return AppendTip(nil, t), content, err
	case PartBatch:
		b, err := DecodeBatch(content)
		return AppendBatch(nil, b), content, err
	default:
		again, err = AppendPart(nil, part.Type, content)
		return again, content, err
	}
}

// FuzzDecodeBatch decodes anything as a batch. What it says can be written, and then
// says the same; written once more it is the same bytes.
func FuzzDecodeBatch(f *testing.F) {
	for _, what := range [][]any{
		{toldFlow{Set, record.Flow{Target: address("192.0.2.1")}}, toldFlow{Delete, record.Flow{}}},
		{toldFlow{Audit, record.Flow{Key: record.FlowKey{Client: address("192.0.2.1"), VIP: address("192.0.2.2")}, Closing: true}}},
		{toldEntry{Set, record.Entry{Mark: 1, Status: 2, Labels: [16]byte{3}, Master: record.EntryKey{Zone: 4}}}},
		{Begin{Table: Flows, Scope: []record.Address{address("192.0.2.1"), {}}}, End{Table: Flows, Count: 1}},
	} {
		w := NewBatchWriter(maxGroups)
		for _, v := range what {
			write(w, v)
		}
		f.Add(slices.Clone(w.Groups()))
	}
	f.Add(slices.Concat(rawGroup(99, 1), rawGroup(1, 0)))
	f.Fuzz(func(t *testing.T, groups []byte) {
		first := &log{}
		if _, err := DecodeGroups(groups, first); err != nil {
			if !errors.Is(err, RejectBody) || len(first.told) > 0 {
				t.Fatalf("error is %v, told %v", err, first.told)
			}
			return
		}
		again, bytes := rewrite(t, first.told)
		if d := cmp.Diff(first.told, again.told); d != "" {
			t.Fatalf("(-first +again):\n%s", d)
		}
		if _, third := rewrite(t, again.told); !slices.Equal(third, bytes) {
			t.Fatalf("%x is written again as %x", bytes, third)
		}
	})
}

// rewrite writes what was told into batches and returns what they say, and all of
// their bytes.
func rewrite(t *testing.T, told []any) (*log, []byte) {
	t.Helper()
	w, got := NewBatchWriter(1400), &log{}
	var all []byte
	flush := func() {
		if unknown, err := DecodeGroups(w.Groups(), got); err != nil || unknown > 0 {
			t.Fatalf("what was written cannot be read: %d unknown, %v", unknown, err)
		}
		all = append(all, w.Groups()...)
		w.Reset()
	}
	for _, v := range told {
		if !write(w, v) {
			flush()
			if !write(w, v) {
				t.Fatalf("%+v does not fit into an empty batch", v)
			}
		}
	}
	flush()
	return got, all
}
