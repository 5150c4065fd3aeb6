// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"hafast/internal/control"
)

func seqs(events []control.Event) []uint64 {
	var list []uint64
	for _, ev := range events {
		list = append(list, ev.Seq)
	}
	return list
}

func TestJournalSince(t *testing.T) {
	tests := []struct {
		name          string
		size, appends int
		since         uint64
		want          []uint64
	}{
		{"empty", 4, 0, 0, nil},
		{"not yet full", 4, 3, 0, []uint64{1, 2, 3}},
		{"just full", 4, 4, 0, []uint64{1, 2, 3, 4}},
		{"one overwritten", 4, 5, 0, []uint64{2, 3, 4, 5}},
		{"overwritten several times", 4, 11, 0, []uint64{8, 9, 10, 11}},
		{"from the middle", 4, 11, 9, []uint64{10, 11}},
		{"from an overwritten one", 4, 11, 3, []uint64{8, 9, 10, 11}},
		{"from the last", 4, 11, 11, nil},
		{"from the future", 4, 11, 99, nil},
		{"ring of one", 1, 3, 0, []uint64{3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := control.NewJournal(tt.size)
			for i := range tt.appends {
				ev := j.Append(control.Event{Cause: fmt.Sprint(i + 1)})
				if ev.Seq != uint64(i+1) {
					t.Fatalf("Append returned seq %d, want %d", ev.Seq, i+1)
				}
			}
			got := j.Since(tt.since)
			if diff := cmp.Diff(tt.want, seqs(got)); diff != "" {
				t.Errorf("seqs (-want +got):\n%s", diff)
			}
			for _, ev := range got {
				if ev.Cause != fmt.Sprint(ev.Seq) {
					t.Errorf("event %d carries the content of %s", ev.Seq, ev.Cause)
				}
			}
		})
	}
}

func TestJournalZeroValueKeepsDefault(t *testing.T) {
	var j control.Journal
	for range control.DefaultJournalSize + 1 {
		j.Append(control.Event{})
	}
	got := j.Since(0)
	if len(got) != control.DefaultJournalSize || got[0].Seq != 2 {
		t.Errorf("kept %d events from seq %d, want %d from 2", len(got), got[0].Seq, control.DefaultJournalSize)
	}
}

func TestJournalSinceIsACopy(t *testing.T) {
	j := control.NewJournal(1)
	j.Append(control.Event{Cause: "first"})
	before := j.Since(0)
	j.Append(control.Event{Cause: "second"})
	if before[0].Cause != "first" {
		t.Errorf("a later Append changed what Since had returned to %q", before[0].Cause)
	}
}

func TestJournalSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := control.NewJournal(0)
		j.Append(control.Event{Cause: "before"})
		ctx, cancel := context.WithCancel(t.Context())
		ch := j.Subscribe(ctx)
		j.Append(control.Event{Cause: "after"})
		if ev := <-ch; ev.Seq != 2 || ev.Cause != "after" {
			t.Errorf("got %+v, want the event appended after Subscribe", ev)
		}
		cancel()
		synctest.Wait()
		j.Append(control.Event{Cause: "late"}) // Must not meet the closed channel.
		if ev, open := <-ch; open {
			t.Errorf("got %+v after the end of the subscription", ev)
		}
	})
}

// A subscriber that does not read neither holds up Append nor hides its loss.
func TestJournalSlowSubscriberSeesGap(t *testing.T) {
	j := control.NewJournal(0)
	ch := j.Subscribe(t.Context())
	const appended = 1000
	for range appended {
		j.Append(control.Event{})
	}
	received := len(ch)
	if received == 0 || received >= appended {
		t.Fatalf("%d of %d events are buffered, want some and not all", received, appended)
	}
	var last uint64
	for range received {
		last = (<-ch).Seq
	}
	next := j.Append(control.Event{})
	got := <-ch
	if got.Seq != next.Seq || got.Seq == last+1 {
		t.Errorf("after the loss came seq %d following %d, want the newest (%d) with a gap before it", got.Seq, last, next.Seq)
	}
	if missed := j.Since(last); len(missed) != int(next.Seq-last) {
		t.Errorf("Since fills the gap with %d events, want %d", len(missed), next.Seq-last)
	}
}

func TestJournalConcurrentUse(t *testing.T) {
	j := control.NewJournal(16)
	ctx, cancel := context.WithCancel(t.Context())
	var writers, readers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 500 {
				j.Append(control.Event{})
			}
		})
		readers.Go(func() {
			var last uint64
			for ev := range j.Subscribe(ctx) {
				if ev.Seq <= last {
					t.Errorf("seq %d came after %d", ev.Seq, last)
				}
				last = ev.Seq
			}
		})
		readers.Go(func() {
			for range 200 {
				list := seqs(j.Since(0))
				for i := 1; i < len(list); i++ {
					if list[i] != list[i-1]+1 {
						t.Errorf("Since returned %v", list)
					}
				}
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	if got := j.Since(0); got[len(got)-1].Seq != 2000 {
		t.Errorf("last seq %d, want 2000", got[len(got)-1].Seq)
	}
}
