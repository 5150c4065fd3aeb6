// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/control"
	"hafast/internal/link"
	"hafast/internal/membership"
	"hafast/internal/ownership"
	"hafast/internal/steering"
	"hafast/pkg/vrrp"
)

func w4(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }

// reload gives the host another configuration.
func (h *testHost) reload(text string) {
	h.t.Helper()
	answer := make(chan []ownership.Instance, 1)
	h.events <- configRead{cfg: parse(h.t, text), answer: answer}
	if <-answer == nil {
		h.t.Fatal("the configuration was refused")
	}
	h.events <- prepared{}
	synctest.Wait()
}

func TestStopIsTold(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		a.on(func(time.Time) {
			if !a.path.serving {
				t.Error("not serving before")
			}
		})
		a.stop()
		pass(time.Millisecond)
		hello := a.said()
		if hello.State != membership.Stopping || hello.Reason == "" {
			t.Errorf("says %s, %q", hello.State, hello.Reason)
		}
		a.on(func(time.Time) {
			if a.path.serving {
				t.Error("S-BFD still says that it serves")
			}
		})
		b.on(func(time.Time) {
			if !b.prober.suspended[a.addr] {
				t.Error("the session with a host that has said goodbye goes on")
			}
		})
		b.live(a.addr, bfd.Up, bfd.Unmonitored)
		<-a.done
		w.expect(vrrp.Init, vrrp.Active)
		if got := b.target(a.addr); got.State != steering.Drain {
			t.Errorf("connections that haproxy still has are cut off: %s", got.State)
		}
		if got := b.journalled("peer"); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "stopping") }) {
			t.Errorf("journal: %q", got)
		}

		// Its successor says that it is there.
		said := b.peerIs(a.addr).Said
		said.Hello.Boot, said.Hello.State, said.Hello.Reason = 99, membership.Up, ""
		b.post(w.t.Context(), peerSpoke{said})
		b.on(func(time.Time) {
			if b.prober.suspended[a.addr] {
				t.Error("the session with a host that has come back stays suspended")
			}
		})
		b.live(a.addr, bfd.Unmonitored, bfd.Up)
		if got := b.target(a.addr); got.State != steering.Up {
			t.Errorf("the one that has come back is %s", got.State)
		}
	})
}

// A goodbye need not wait for the skew.
func TestGoodbyeIsFollowedAtOnce(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		a.stop()
		synctest.Wait()
		pass(10 * time.Millisecond)
		if b.state("VI_1") != vrrp.Active {
			t.Errorf("b is %s 10ms after a has said goodbye", b.state("VI_1"))
		}
	})
}

func TestDrainIsTold(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		a.on(func(now time.Time) { a.drain(now, true) })
		synctest.Wait()
		if got := a.said(); got.State != membership.Drain || got.Reason != "drained by the operator" {
			t.Errorf("says %s, %q", got.State, got.Reason)
		}
		a.on(func(time.Time) {
			if a.path.serving || !a.path.counting || a.path.states[a.addr] != steering.Drain {
				t.Errorf("serving %t, counting %t, own haproxy %s", a.path.serving, a.path.counting, a.path.states[a.addr])
			}
		})
		if own, theirs := a.target(a.addr).State, b.target(a.addr).State; own != steering.Drain || theirs != steering.Drain {
			t.Errorf("new flows: %s here, %s there", own, theirs)
		}
		b.live(a.addr, bfd.Up, bfd.AdminDown)
		w.expect(vrrp.Backup, vrrp.Active)
		a.post(w.t.Context(), connectionsCounted{7})
		synctest.Wait()
		if got := b.peerIs(a.addr).Said.Hello.Left; got != 7 {
			t.Errorf("b knows of %d connections that are left, want 7", got)
		}
		a.on(func(now time.Time) { a.drain(now, false) })
		synctest.Wait()
		b.live(a.addr, bfd.AdminDown, bfd.Up)
		pass(5 * time.Second)
		w.expect(vrrp.Active, vrrp.Backup)
		if own, theirs := a.target(a.addr).State, b.target(a.addr).State; own != steering.Up || theirs != steering.Up {
			t.Errorf("new flows after all: %s here, %s there", own, theirs)
		}
	})
}

// A haproxy that died is no target any more, on either host.
func TestDeadHAProxyIsTold(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		a.haproxy(false, "killed by signal 9")
		if got := a.said(); got.State != membership.Down || got.Reason != "haproxy: killed by signal 9" {
			t.Errorf("says %s, %q", got.State, got.Reason)
		}
		if own, theirs := a.target(a.addr).State, b.target(a.addr).State; own != steering.Down || theirs != steering.Down {
			t.Errorf("flows: %s here, %s there", own, theirs)
		}
	})
}

// What the hosts know of each other is what they need: addresses, services, where
// frames go.
func TestHellos(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		hello := b.peerIs(a.addr).Said.Hello
		want := []steering.Service{{VIP: vip, Port: 80, Proto: steering.TCP}}
		if !slices.Equal(hello.Services, want) || hello.MAC != [6]byte{2, 0, 0, 0, 0, 1} || !slices.Equal(hello.Addresses, a.addrs) {
			t.Errorf("hello %+v", hello)
		}
		target := b.target(a.addr)
		if target.Local || target.All || target.MAC != hello.MAC || !slices.Equal(target.Serves, want) {
			t.Errorf("target %+v", target)
		}
		if own := b.target(b.addr); !own.Local || own.State != steering.Up {
			t.Errorf("own target %+v", own)
		}
		if got := b.exchange.neighbours; len(got) != 1 || got[0] != (membership.Neighbour{Addr: a.addr, Source: b.addr}) {
			t.Errorf("told: %v", got)
		}
	})
}

func TestReloadWithOtherPeers(t *testing.T) {
	inFleet(t, members(3), func(w *fleetWorld) {
		a, b, c := w.settled()[0], w.fleet[1], w.fleet[2]
		text := strings.Replace(member(1, 3), "peers: [10.0.0.2, 10.0.0.3]", "peers: [10.0.0.3]", 1)
		a.reload(strings.Replace(text, "metrics: off", "metrics: off\nliveness: {interval: 5ms, multiplier: 4}\nbalance: local", 1))
		got := a.desiredState()
		if got.Hold || len(got.Targets) != 2 || !slices.Equal(got.Peers, []netip.Addr{c.addr}) || got.Policy != steering.Local {
			t.Errorf("desired %+v", got)
		}
		if p := a.peerIs(c.addr); p.Session != bfd.Up || p.State().Target() != steering.Up {
			t.Errorf("the peer that stays is %s, %s", p.Session, p.State().Target())
		}
		a.on(func(time.Time) {
			if want := (bfd.Timing{Interval: 5 * time.Millisecond, Multiplier: 4}); a.prober.timing != want {
				t.Errorf("timing %v, want %v", a.prober.timing, want)
			}
			if len(a.prober.peers) != 1 || a.prober.peers[0].Addr != c.addr || len(a.exchange.neighbours) != 1 {
				t.Errorf("probed %v, told %v", a.prober.peers, a.exchange.neighbours)
			}
		})
		// Events of the one that has gone are late.
		a.live(b.addr, bfd.Up, bfd.Down)
		a.reload(member(1, 3))
		if p := a.peerIs(b.addr); p.Session != bfd.Unknown || p.State().Target() != steering.Down {
			t.Errorf("the peer that has come is %s, %s; want to know nothing of it", p.Session, p.State().Target())
		}
		w.expect(vrrp.Active, vrrp.Backup, vrrp.Backup)
	})
}

// An instance that a reload brings moves with the others.
func TestReloadWithAnotherInstance(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a := w.settled()[0]
		a.reload(strings.Replace(member(1, 2), "haproxy:", "  - {name: VI_2, vrid: 52, vips: [10.0.0.209]}\nhaproxy:", 1))
		got := a.desiredState()
		if len(got.Instances) != 2 || got.Instances[1].Name != "VI_2" || !slices.Equal(got.Instances[1].VIPs, []netip.Addr{w4(209)}) {
			t.Errorf("instances %v", got.Instances)
		}
		a.on(func(time.Time) {
			if !slices.Contains(a.path.watched.vips, w4(209)) {
				t.Errorf("sockets of %v are looked at", a.path.watched.vips)
			}
		})
	})
}

func TestServicesOfTheConfiguration(t *testing.T) {
	config := strings.Replace(member(1, 2), "haproxy: {}", "haproxy: {}\nservices: [{vip: 10.0.0.208, port: 53, proto: udp}]", 1)
	inFleet(t, []string{config, member(2, 2)}, func(w *fleetWorld) {
		got := w.settled()[0].desiredState()
		if !slices.Equal(got.Services, []steering.Service{{VIP: vip, Port: 53, Proto: steering.UDP}}) {
			t.Errorf("services %v", got.Services)
		}
		for _, target := range got.Targets {
			if !target.All {
				t.Errorf("%v serves only what it has been seen to", target.Addr)
			}
		}
	})
}

// What a client was told does not change under its hands.
func TestStatusIsACopy(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a := w.settled()[0]
		a.post(w.t.Context(), connectionsCounted{7})
		var st control.Status
		a.on(func(now time.Time) { st = a.status(now) })
		a.post(w.t.Context(), connectionsCounted{8})
		a.on(func(time.Time) {})
		if len(st.Targets) != 2 || st.Targets[0].Connections == nil || *st.Targets[0].Connections != 7 {
			t.Errorf("targets %+v; want 7 connections", st.Targets)
		}
		if len(st.Liveness) != 1 || st.Liveness[0].State != "up" || st.Liveness[0].IntervalMS != 2 || st.Liveness[0].Multiplier != 3 {
			t.Errorf("liveness %+v", st.Liveness)
		}
		if st.Targets[1].Address != "10.0.0.2" || st.Targets[1].State != "up" || st.Targets[1].Services != 1 {
			t.Errorf("the peer %+v", st.Targets[1])
		}
	})
}

func TestWhyAPeerTakesNoFlows(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.fleet[0], w.fleet[1]
		reason := func() (text string) {
			a.on(func(now time.Time) { text = a.status(now).Targets[1].Reason })
			return text
		}
		synctest.Wait()
		if got := reason(); got != "haproxy: no result yet" {
			t.Errorf("reason %q before its checks have answered", got)
		}
		w.settled()
		if got := reason(); got != "" {
			t.Errorf("reason %q for one that is up", got)
		}
		b.haproxy(false, "gone")
		if got := reason(); got != "haproxy: gone" {
			t.Errorf("reason %q", got)
		}
		b.haproxy(true, "pid 1")
		a.live(b.addr, bfd.Up, bfd.Down)
		if got := reason(); got != "does not answer; the flows that it has go there until that is certain" {
			t.Errorf("reason %q while it is suspected", got)
		}
		b.isolate(true)
		a.buried(b.addr)
		if got := reason(); got != "does not answer" {
			t.Errorf("reason %q", got)
		}
	})
}

// The program is on an interface until that is made anew, whatever its addresses are.
func TestNewInterfaceIsReattached(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a := w.settled()[0]
		there := changeOf(a)
		anew, gone := there, link.Change{Name: "eth0"}
		anew.State.Index++
		for _, step := range []struct {
			change link.Change
			want   int
		}{{there, 0}, {anew, 1}, {gone, 2}, {gone, 2}, {anew, 3}} {
			a.on(func(now time.Time) { a.linkChanged(now, step.change) })
			a.on(func(time.Time) {
				if a.path.reattach != step.want {
					t.Errorf("asked %d times, want %d, after %+v", a.path.reattach, step.want, step.change)
				}
			})
		}
	})
}

func TestNewAddressIsTold(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a := w.settled()[0]
		a.on(func(now time.Time) { a.linkChanged(now, changeOf(a)) })
		a.on(func(time.Time) {
			if got := a.path.desired.Locals; !slices.Contains(got, w4(77)) {
				t.Errorf("S-BFD is answered on %v", got)
			}
		})
		if got := w.fleet[1].peerIs(a.addr).Said.Hello.Addresses; !slices.Contains(got, w4(77)) {
			t.Errorf("the peer knows of %v", got)
		}
	})
}
