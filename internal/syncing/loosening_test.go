package syncing

import (
	"testing"
	"time"

	"hafast/pkg/conntrack/kernel"
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
		for _, op := range l.due(start.Add(step.at), nil) {
			if op.Action != kernel.Loosen {
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
