// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestOutboxTellsWhatCounts: whatever happens to records, and whenever some of it
// leaves, the peer has in the end what is here; but for what came and went, or is gone
// while it is new.
func TestOutboxTellsWhatCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const gone = 0 // the value of a record that need not be told while it is new
		here, peer := map[int]int{}, map[int]int{}
		o := NewOutbox[int, int](1000)
		now, last := time.Duration(0), time.Duration(-1)
		leave := func() {
			s := o.front()
			if s.first < last {
				t.Fatalf("a change of %v leaves after one of %v", s.first, last)
			}
			last = s.first
			if s.news == Deleted {
				delete(peer, s.key)
			} else {
				peer[s.key] = s.record
			}
			o.pop()
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				now++
				k := rapid.IntRange(0, 20).Draw(t, "key")
				v, there := here[k]
				switch {
				case !there:
					v = rapid.IntRange(1, 9).Draw(t, "value")
					here[k] = v
					o.Put(now, Created, k, &v, false)
				case rapid.Bool().Draw(t, "delete"):
					delete(here, k)
					o.Put(now, Deleted, k, &v, true)
				default:
					v = rapid.IntRange(gone, 9).Draw(t, "value")
					here[k] = v
					o.Put(now, Changed, k, &v, v == gone)
				}
			},
			"leave": func(t *rapid.T) {
				if o.Len() == 0 {
					t.Skip("nothing waits")
				}
				leave()
			},
			"": func(t *rapid.T) {
				if o.Len() != len(o.index) || (o.front() == nil) != (o.Len() == 0) {
					t.Fatalf("%d wait, front is %v", o.Len(), o.front())
				}
				if at, ok := o.Oldest(); ok && at > now {
					t.Fatalf("the oldest change was at %v", at)
				}
			},
		})
		for o.Len() > 0 {
			leave()
		}
		for k, v := range here {
			if _, told := peer[k]; v == gone && !told {
				delete(here, k)
			}
		}
		if !maps.Equal(here, peer) {
			t.Fatalf("the peer has %v, not %v", peer, here)
		}
	})
}

func TestOutboxMergesChanges(t *testing.T) {
	for _, c := range []struct {
		name string
		puts []News
		want News // 0: nothing leaves
	}{
		{"new", []News{Created}, Created},
		{"new, then changed", []News{Created, Changed}, Created},
		{"new, then gone", []News{Created, Deleted}, 0},
		{"new, changed, gone", []News{Created, Changed, Deleted}, 0},
		{"changed twice", []News{Changed, Changed}, Changed},
		{"changed, then gone", []News{Changed, Deleted}, Deleted},
		{"another of the same name", []News{Deleted, Created}, Changed},
		{"another of the same name, gone too", []News{Deleted, Created, Deleted}, Deleted},
		{"gone for the peer, and there and gone again", []News{Created, Deleted, Created, Deleted}, 0},
		{"gone for the peer, and there again", []News{Created, Deleted, Created}, Created},
	} {
		o := NewOutbox[string, int](10)
		for i, n := range c.puts {
			o.Put(time.Duration(i), n, "k", &i, false)
		}
		var got News
		if s := o.front(); s != nil {
			got = s.news
			if want := len(c.puts) - 1; s.record != want || s.last != time.Duration(want) {
				t.Errorf("%s: record %d of %v leaves", c.name, s.record, s.last)
			}
		}
		if got != c.want || o.Len() > 1 || (o.Len() == 0) != (c.want == 0) {
			t.Errorf("%s: %d leaves, not %d", c.name, got, c.want)
		}
	}
}

func TestOutboxIsBounded(t *testing.T) {
	const limit = 100_000
	o := NewOutbox[int, int](limit)
	for i := range limit {
		o.Put(0, Created, i, &i, false)
		o.Put(0, Changed, i, &i, false)
	}
	if o.Overflown() || o.Len() != limit {
		t.Fatalf("overflown %v at %d", o.Overflown(), o.Len())
	}
	o.Put(0, Created, -1, new(int), false)
	o.Put(0, Created, -2, new(int), false)
	if !o.Overflown() || o.Len() != 0 {
		t.Fatalf("overflown %v at %d", o.Overflown(), o.Len())
	}
	o.Reset()
	if o.Put(0, Created, 1, new(int), false); o.Overflown() || o.Len() != 1 {
		t.Fatalf("overflown %v at %d after a reset", o.Overflown(), o.Len())
	}
	// What comes and goes takes no room for long, however long the first one waits.
	for i := 2; i < 10*limit; i++ {
		o.Put(0, Created, i, &i, false)
		o.Put(0, Deleted, i, &i, false)
	}
	if len(o.ring) > 1024 || o.Skipped() < limit {
		t.Errorf("a ring of %d for %d records, %d skipped", len(o.ring), o.Len(), o.Skipped())
	}
}

// TestKnown: the end of a record is told if the peer knows of its beginning by a walk.
func TestKnown(t *testing.T) {
	o := NewOutbox[int, string](10)
	here := "here"
	o.Put(1, Created, 1, &here, false)
	o.Put(2, Created, 2, &here, false)
	o.Known(1)
	o.Known(3)
	o.Put(3, Deleted, 1, &here, true)
	o.Put(3, Deleted, 2, &here, true)
	if s := o.front(); o.Len() != 1 || s.key != 1 || s.news != Deleted {
		t.Errorf("%d wait, the first is %+v; want the end of 1 alone", o.Len(), s)
	}
}
