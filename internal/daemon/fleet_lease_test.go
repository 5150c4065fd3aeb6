// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hafast/internal/bfd"
	"hafast/pkg/vrrp"
)

// pause keeps the host's loop from its work for so long.
func (h *testHost) pause(d time.Duration) {
	h.events <- asked{func(time.Time) { time.Sleep(d) }}
	synctest.Wait()
}

func TestLeaseIsRenewed(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a := w.settled()[0]
		for range 50 {
			pass(7 * time.Millisecond)
			a.on(func(now time.Time) {
				if left := a.path.until.Sub(now); left < leaseFor-leaseEvery || left > leaseFor {
					t.Errorf("the lease holds for another %v", left)
				}
			})
		}
		if got := a.journalled("lapse"); len(got) != 0 {
			t.Errorf("journal: %q", got)
		}
	})
}

// lateness is by how much the lease has been renewed too late, all in all.
func (h *testHost) lateness() time.Duration {
	h.t.Helper()
	families, err := h.metrics.Registry().Gather()
	must(h.t, err)
	for _, f := range families {
		if f.GetName() == "hafast_lease_late_seconds" {
			return time.Duration(f.GetMetric()[0].GetHistogram().GetSampleSum() * float64(time.Second)).Round(time.Microsecond)
		}
	}
	h.t.Fatal("the lateness is not counted")
	return 0
}

// A renewal that comes late does not make later ones due later.
func TestLatenessOfTheLease(t *testing.T) {
	inFleet(t, members(1), func(w *fleetWorld) {
		a := w.settled()[0]
		var due time.Time
		a.on(func(time.Time) { due = a.leaseDue })
		pass(time.Until(due) + time.Millisecond)
		a.pause(50 * time.Millisecond)
		pass(time.Second)
		if got, want := a.lateness(), 50*time.Millisecond+time.Millisecond-leaseEvery; got != want {
			t.Errorf("late by %v in all, want %v", got, want)
		}
	})
}

// A host that stood still while nobody took over is Active again after a moment.
func TestLapseUnnoticed(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		a.pause(300 * time.Millisecond)
		pass(300 * time.Millisecond)
		pass(time.Millisecond)
		w.expect(vrrp.Backup, vrrp.Backup)
		pass(100 * time.Millisecond)
		w.expect(vrrp.Active, vrrp.Backup)
		if got := a.journalled("lapse"); len(got) != 1 || !strings.Contains(got[0], "longer than its lease") {
			t.Errorf("journal: %q", got)
		}
		if got := b.journalled("transition"); len(got) != 1 {
			t.Errorf("b moved: %q", got)
		}
	})
}

// A host whose VIPs somebody else has taken while it stood still leaves them there,
// and does not make the other doubt: it was the better one when it fell asleep.
func TestLapseNoticed(t *testing.T) {
	configs := []string{
		strings.Replace(member(1, 2), "priority: 104", "priority: 104, preempt: false", 1),
		member(2, 2),
	}
	// What a waking loop finds first is a matter of chance.
	for i := range 10 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			inFleet(t, configs, func(w *fleetWorld) {
				a, b := w.settled()[0], w.fleet[1]
				a.pause(2500 * time.Millisecond)
				pass(leaseFor)
				b.live(a.addr, bfd.Up, bfd.AdminDown)
				if b.state("VI_1") != vrrp.Active {
					t.Fatalf("b is %s", b.state("VI_1"))
				}
				pass(10 * time.Second)
				w.expect(vrrp.Backup, vrrp.Active)
				if got := b.journalled("transition"); len(got) != 2 {
					t.Errorf("the successor moved again: %q", got)
				}
				a.on(func(time.Time) {
					if a.reannounce > 0 {
						t.Error("announced what was no longer its own")
					}
				})
			})
		})
	}
}
