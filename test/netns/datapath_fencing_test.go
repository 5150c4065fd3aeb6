// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// defaultLease leaves the lease at 100 ms. A machine that is busy with other things may be
// somewhat later.
const defaultLease = "liveness: {multiplier: 25}\n"

// TestFencing has the daemon of the Active host killed or stopped. Its XDP program
// goes on: it steers as before, and keeps the host from answering for the VIPs.
func TestFencing(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	const soon = time.Second
	vips := []netip.Addr{lab.VIP, lab.VIP6}
	// fenced ends the daemon and checks that the host stops answering soon. To find that
	// out for a VIP takes as long as findOut.
	fenced := func(t *testing.T, end func(*testing.T), now func(*testing.T, netip.Addr), findOut time.Duration) {
		t.Helper()
		if lease := p.status(t, p.a).XDP.Lease; lease == nil || !lease.Fresh || lease.RemainingMS > 100 {
			t.Errorf("the lease to begin with: %+v, want one of 100 ms at most", lease)
		}
		start := time.Now()
		end(t)
		for _, vip := range vips {
			now(t, vip)
		}
		if took := time.Since(start) - time.Duration(len(vips))*findOut; took > soon {
			t.Errorf("answers for the VIPs were as they should be after %v, want %v", took, soon)
		}
	}

	for _, fault := range []struct {
		name string
		// end is what happens to the daemon of a, back what ends it.
		end, back func(t *testing.T)
		// first is the first transition of the daemon that is back, cause its cause.
		first, cause string
	}{
		{
			name:  "kill -9",
			end:   func(t *testing.T) { check(t, p.sys.Kill(p.a)) },
			back:  func(t *testing.T) { p.start(t, p.a) },
			first: "init -> backup", cause: "started",
		},
		{
			name:  "SIGSTOP",
			end:   func(t *testing.T) { check(t, p.sys.Signal(p.a, unix.SIGSTOP)) },
			back:  func(t *testing.T) { check(t, p.sys.Signal(p.a, unix.SIGCONT)) },
			first: "active -> backup", cause: "stood still",
		},
	} {
		t.Run(fault.name+", the peer is there", func(t *testing.T) {
			p.run(t, dual(defaultLease, ""))
			p.sharing(t)
			ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
			ofA6, ofB6 := p.holdBoth(t, lab.VIP6, fewHeld)
			before := driven(t, p.a)
			seqA, seqB := p.lastSeq(t, p.a), p.lastSeq(t, p.b)
			if fault.first == "init -> backup" {
				seqA = 0 // a new daemon begins a new journal
			}
			load := p.traffic(t, lab.VIP)
			ends := []func(){p.neverTwo(t, lab.VIP), p.neverTwo(t, lab.VIP6)}
			fenced(t, fault.end, func(t *testing.T, vip netip.Addr) { p.answeredBy(t, p.b, vip) }, 0)
			for _, end := range ends {
				end()
			}
			p.inState(t, p.b, lab.StateActive)
			p.journalled(t, p.b, "transition", "dead or out of service", seqB)
			if !p.a.HasAddr(lab.VIP) || !p.a.HasAddr(lab.VIP6) {
				t.Error("the VIPs left with the daemon, which nothing could do")
			}
			if now := programOn(t, p.a); now != before || !p.pinned(t, p.a) {
				t.Errorf("eth0 had program %v and has %v; pinned: %t", before, now, p.pinned(t, p.a))
			}
			// Its haproxy is as good as before, for what it has.
			if why := p.targetState(t, p.b, lab.HostA, "drain").Reason; !strings.Contains(why, "lease") {
				t.Errorf("status says %q of the host without a daemon", why)
			}
			for _, conns := range []held{ofA, ofA6} {
				conns.live(t, p.a.Name)
			}
			for _, conns := range []held{ofB, ofB6} {
				conns.live(t, p.b.Name)
			}

			fault.back(t)
			p.settled(t, p.a)
			for _, vip := range vips {
				p.answeredBy(t, p.a, vip)
			}
			for _, name := range []string{"VI_1", "VI_6"} {
				got := strings.Join(p.transitions(t, p.a, name, seqA), ", ")
				if want := fault.first + ", backup -> active"; got != want {
					t.Errorf("%s of the daemon that is back went %s, want %s", name, got, want)
				}
			}
			p.journalled(t, p.a, "transition", fault.cause, seqA)
			p.journalled(t, p.a, "transition", "has a lower priority", seqA)
			p.sharing(t)
			load.unharmed(t)
			for _, conns := range []held{ofA, ofA6} {
				conns.live(t, p.a.Name)
			}
			for _, conns := range []held{ofB, ofB6} {
				conns.live(t, p.b.Name)
			}
		})

		t.Run(fault.name+", the peer is silent", func(t *testing.T) {
			p.fresh(t, dual(defaultLease, ""))
			check(t, p.a.StartHAProxy(within(t)))
			p.start(t, p.a)
			p.inState(t, p.a, lab.StateActive)
			for _, vip := range vips {
				p.answeredBy(t, p.a, vip)
			}
			conns := append(p.holdAll(t, lab.VIP, fewHeld, p.a), p.holdAll(t, lab.VIP6, fewHeld, p.a)...)
			seq := p.lastSeq(t, p.a)
			if fault.first == "init -> backup" {
				seq = 0
			}
			fenced(t, fault.end, p.silence, silenceTime)
			conns.live(t, p.a.Name)

			fault.back(t)
			p.inState(t, p.a, lab.StateActive)
			for _, vip := range vips {
				p.answeredBy(t, p.a, vip)
			}
			p.journalled(t, p.a, "transition", fault.cause, seq)
			for _, name := range []string{"VI_1", "VI_6"} {
				got := strings.Join(p.transitions(t, p.a, name, seq), ", ")
				if want := fault.first + ", backup -> active"; got != want {
					t.Errorf("%s of the daemon that is back went %s, want %s", name, got, want)
				}
			}
			conns.live(t, p.a.Name)
			p.serves(t, lab.VIP)
			p.serves(t, lab.VIP6)
		})
	}

	t.Run("adverts quicker than the lease", func(t *testing.T) {
		p.run(t, single(defaultLease, ""))
		p.often(t)
		p.sharing(t)
		load := p.traffic(t, lab.VIP)
		end := p.neverTwo(t, lab.VIP)
		check(t, p.sys.Kill(p.a))
		p.answeredBy(t, p.b, lab.VIP)
		end()
		p.start(t, p.a)
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
		load.unharmed(t)
	})

	t.Run("without preemption it stays behind", func(t *testing.T) {
		p.runInTurn(t, single(defaultLease, "preempt: false\n"))
		p.sharing(t)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		seq := p.lastSeq(t, p.a)
		load := p.traffic(t, lab.VIP)
		check(t, p.sys.Signal(p.a, unix.SIGSTOP))
		p.inState(t, p.b, lab.StateActive)
		p.answeredBy(t, p.b, lab.VIP)
		check(t, p.sys.Signal(p.a, unix.SIGCONT))
		p.journalled(t, p.a, "lapse", "stood still", seq)
		p.settled(t, p.b)
		p.answeredBy(t, p.b, lab.VIP)
		if p.a.HasAddr(lab.VIP) {
			t.Error("the Backup still has the VIP on eth0")
		}
		if lease := p.status(t, p.a).XDP.Lease; lease == nil || !lease.Fresh || lease.Lapses < 1 {
			t.Errorf("status says %+v of the lease", lease)
		}
		p.sharing(t)
		load.unharmed(t)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
	})
}
