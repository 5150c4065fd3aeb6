// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"os"
	"slices"
	"testing"
	"time"
)

// TestSoak probes a perfect peer for as long as HAFAST_LIVENESS_SOAK says (a
// duration), at 2 ms x 3, and shows what the thread made of it. The peer answers
// within the call that sends the probe, so every miss is this host's own doing. Keep
// the processors busy by other means meanwhile.
func TestSoak(t *testing.T) {
	soak, err := time.ParseDuration(os.Getenv("HAFAST_LIVENESS_SOAK"))
	if err != nil {
		t.Skip("HAFAST_LIVENESS_SOAK is not set to a duration")
	}
	newWire(t)
	slots := &fakeSlots{}
	p, events := start(t, Config{Slots: slots, Timing: normal})
	slots.onSent = func(slot int, seq uint32) { slots.answer(slot, seq, WireUp, p.clock.now()) }
	if err := p.Set(peers); err != nil {
		t.Fatal(err)
	}
	rise(t, events, peers...)
	select {
	case e := <-events:
		t.Errorf("after %d misses: %s -> %s", e.Run, e.From, e.To)
	case <-time.After(soak):
	}
	st := status(t, p)
	t.Logf("thread: %s (%v)\nlateness %s", st.Scheduling, st.SchedulingErr, st.Lateness)
	for _, ps := range st.Peers {
		t.Logf("%s: %s", ps.Peer.Addr, ps.Snapshot.Stats)
	}
}

// BenchmarkWake is how long a notice takes from the thread to the goroutine that
// reports it.
func BenchmarkWake(b *testing.B) {
	m, err := newMailbox()
	if err != nil {
		b.Fatal(err)
	}
	defer m.close()
	took := make(chan time.Duration)
	var left time.Time
	go func() {
		for m.wait() {
			for _, ok := m.take(); ok; _, ok = m.take() {
				took <- time.Since(left)
			}
		}
		close(took)
	}()
	var all []time.Duration
	for b.Loop() {
		time.Sleep(2 * ms)
		left = time.Now()
		m.put(notice{})
		m.wake()
		all = append(all, <-took)
	}
	m.end()
	<-took
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds())/1e3, "median-us")
	b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds())/1e3, "p99-us")
	b.ReportMetric(float64(all[len(all)-1].Nanoseconds())/1e3, "max-us")
}
