// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hafast/internal/announce"
	"hafast/internal/health"
	"hafast/internal/link"
	"hafast/internal/ownership"
	"hafast/pkg/vrrp"
)

const (
	hostA = `
interface: eth0
instances:
  - {name: VI_1, vrid: 51, priority: 101, advert_interval: 10ms, vips: [10.0.0.208], notify: {any: told}}
haproxy: {}
metrics: off
`
	hostB = `
interface: eth0
instances:
  - {name: VI_1, vrid: 51, priority: 100, advert_interval: 10ms, vips: [10.0.0.208]}
haproxy: {}
metrics: off
`
)

// skewB is host B's: (256-100)/256 of 10 ms.
const skewB = 10 * time.Millisecond * 156 / 256

// settled waits until A is Active with both haproxies up.
func settled(w *world) (a, b *testHost) {
	w.t.Helper()
	a, b = w.hosts[0], w.hosts[1]
	a.haproxy(true, "running")
	b.haproxy(true, "running")
	pass(200 * time.Millisecond)
	w.expect(vrrp.Active, vrrp.Backup)
	return a, b
}

// expect checks the states of VI_1, host by host.
func (w *world) expect(want ...vrrp.State) {
	w.t.Helper()
	for i, h := range w.hosts {
		if got := h.state("VI_1"); got != want[i] {
			w.t.Errorf("host %d is %s, want %s", i, got, want[i])
		}
		if active := want[i] == vrrp.Active; h.has("VI_1") != active {
			w.t.Errorf("host %d has the addresses: %t, want %t", i, !active, active)
		}
	}
}

// isolate cuts the host off from the others.
func (h *testHost) isolate(cut bool) { h.reach.set(cut, cut) }

func TestHostDeath(t *testing.T) {
	inWorld(t, []string{hostA, hostB}, func(w *world) {
		a, b := settled(w)
		a.isolate(true)
		sent := a.adverts()
		last := sent[len(sent)-1]
		pass(time.Until(last.Add(30*time.Millisecond + skewB - time.Microsecond)))
		if b.state("VI_1") != vrrp.Backup {
			t.Error("took over before three intervals and the skew")
		}
		pass(2 * time.Microsecond)
		if b.state("VI_1") != vrrp.Active {
			t.Error("did not take over after three intervals and the skew")
		}
		want := []string{"init>backup started", "backup>active nothing heard of 10.0.0.1"}
		if got := b.journalled("transition"); !slices.Equal(got, want) {
			t.Errorf("journal: %q, want %q", got, want)
		}
		a.isolate(false)
		pass(200 * time.Millisecond)
		w.expect(vrrp.Active, vrrp.Backup)
	})
}

func TestHAProxyDeathMovesTheAddressWithoutAGap(t *testing.T) {
	inWorld(t, []string{hostA, hostB}, func(w *world) {
		a, _ := settled(w)
		a.haproxy(false, "killed by signal 9")
		pass(skewB - time.Microsecond)
		w.expect(vrrp.Active, vrrp.Backup)
		pass(2 * time.Microsecond)
		w.expect(vrrp.Backup, vrrp.Active)
		want := "active>backup out of service (haproxy: killed by signal 9), 10.0.0.2 took over"
		if got := a.journalled("transition"); got[len(got)-1] != want {
			t.Errorf("journal ends with %q, want %q", got[len(got)-1], want)
		}
		a.haproxy(true, "restarted")
		pass(200 * time.Millisecond)
		w.expect(vrrp.Active, vrrp.Backup)
	})
}

func TestNobodyTakesOver(t *testing.T) {
	inWorld(t, []string{hostA, hostB}, func(w *world) {
		a, b := settled(w)
		b.haproxy(false, "gone")
		a.haproxy(false, "gone too")
		pass(time.Second)
		w.expect(vrrp.Active, vrrp.Backup)
		b.haproxy(true, "back")
		pass(100 * time.Millisecond)
		w.expect(vrrp.Backup, vrrp.Active)
	})
}

func TestPlannedStop(t *testing.T) {
	inWorld(t, []string{hostA, hostB}, func(w *world) {
		a, _ := settled(w)
		a.stop()
		<-a.done
		w.expect(vrrp.Init, vrrp.Active)
		want := "active>init stopped, 10.0.0.2 took over"
		if got := a.journalled("transition"); got[len(got)-1] != want {
			t.Errorf("journal ends with %q, want %q", got[len(got)-1], want)
		}
		if want := "INSTANCE VI_1 STOP"; a.notified[len(a.notified)-1] != want {
			t.Errorf("notified last: %q, want %q", a.notified[len(a.notified)-1], want)
		}
	})
}

func TestDrain(t *testing.T) {
	inWorld(t, []string{hostA, hostB}, func(w *world) {
		a, b := settled(w)
		result, err := a.backend().Drain(w.t.Context())
		if err != nil || len(result.Moved) != 1 || result.Moved[0].To != "10.0.0.2" || len(result.Kept) != 0 {
			t.Errorf("drain: %+v, %v; want VI_1 moved to 10.0.0.2", result, err)
		}
		a.on(func(time.Time) {
			if !a.remembered {
				t.Error("a restart would not know of the drain")
			}
		})
		w.expect(vrrp.Backup, vrrp.Active)

		short, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		result, err = b.backend().Drain(short)
		if err != nil || len(result.Kept) != 1 || len(result.Moved) != 0 {
			t.Errorf("drain of the last host: %+v, %v; want VI_1 kept", result, err)
		}
		if err := a.backend().Ready(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(100 * time.Millisecond)
		w.expect(vrrp.Active, vrrp.Backup)
		if err := b.backend().Ready(w.t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// A host that stood still finds its timer late and the peer's adverts unread. It
// must read before it judges.
func TestPausedHostDoesNotAccuseItsPeer(t *testing.T) {
	inWorld(t, []string{hostA, hostB}, func(w *world) {
		_, b := settled(w)
		pause := make(chan struct{})
		b.events <- asked{func(time.Time) { <-pause }}
		pass(500 * time.Millisecond)
		close(pause)
		pass(100 * time.Millisecond)
		w.expect(vrrp.Active, vrrp.Backup)
		if got := b.journalled("transition"); len(got) != 1 {
			t.Errorf("transitions: %q, want none after the start", got)
		}
	})
}

func TestReload(t *testing.T) {
	reload := func(t *testing.T, h *testHost, text string, err error) []ownership.Instance {
		t.Helper()
		answer := make(chan []ownership.Instance, 1)
		ev := configRead{err: err, answer: answer}
		if err == nil {
			ev.cfg = parse(t, text)
		}
		h.events <- ev
		prepare := <-answer
		if prepare != nil {
			h.events <- prepared{}
		}
		synctest.Wait()
		return prepare
	}
	inWorld(t, []string{hostA, hostB}, func(w *world) {
		a, _ := settled(w)
		before := len(a.adverts())
		if got := reload(t, a, "", errors.New("test.yaml:3: unknown key\ntest.yaml:4: another")); got != nil {
			t.Errorf("a refused configuration asks to prepare %v", got)
		}
		if got, want := a.journalled("reload"), ">"+" configuration refused, the old one stays: test.yaml:3: unknown key (and more)"; !slices.Contains(got, want) {
			t.Errorf("journal: %q, want %q", got, want)
		}
		if got := reload(t, a, strings.Replace(hostA, "state_dir", "", 1)+"state_dir: /elsewhere\n", nil); got != nil {
			t.Error("a configuration that needs a restart was not refused")
		}
		more := strings.Replace(hostA, "haproxy: {}", "  - {name: VI_2, vrid: 52, advert_interval: 10ms, vips: [10.0.0.209]}\nhaproxy: {}", 1)
		reload(t, a, more, nil)
		pass(100 * time.Millisecond)
		w.expect(vrrp.Active, vrrp.Backup)
		if a.state("VI_2") != vrrp.Active {
			t.Errorf("the new instance is %s, want active", a.state("VI_2"))
		}
		sent := a.adverts()
		for i := before; i < before+5; i++ {
			if gap := sent[i].Sub(sent[i-1]); gap != 10*time.Millisecond {
				t.Errorf("advert %d came after %s, want 10ms", i, gap)
			}
		}
		reload(t, a, hostA, nil)
		if a.has("VI_2") {
			t.Error("an instance that is gone keeps its addresses")
		}
		w.expect(vrrp.Active, vrrp.Backup)
	})
}

func TestLinkLossIsAFault(t *testing.T) {
	inWorld(t, []string{hostA, hostB}, func(w *world) {
		a, _ := settled(w)
		var state link.State
		a.on(func(time.Time) { state = a.links["eth0"] })
		down := state
		down.Up = false
		a.isolate(true)
		a.events <- linkChanged{link.Change{Name: "eth0", Present: true, State: down}}
		pass(100 * time.Millisecond)
		w.expect(vrrp.Fault, vrrp.Active)
		a.isolate(false)
		a.events <- linkChanged{link.Change{Name: "eth0", Present: true, State: state}}
		pass(100 * time.Millisecond)
		w.expect(vrrp.Active, vrrp.Backup)
		want := []string{"active>fault interface eth0 is down", "fault>backup the fault is over"}
		if got := a.journalled("transition"); !slices.Equal(got[2:4], want) {
			t.Errorf("journal: %q, want %q", got[2:4], want)
		}
	})
}

func TestRivalClaims(t *testing.T) {
	claim := rivalClaimed{announce.Claim{
		Interface: "eth0", Addr: netip.MustParseAddr("10.0.0.208"), MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}, Kind: "arp",
	}}
	inWorld(t, []string{hostA, hostB}, func(w *world) {
		a, b := settled(w)
		for range 100 {
			a.events <- claim
		}
		pass(time.Second)
		announced := func(h *testHost) (n int) { h.on(func(time.Time) { n = h.reannounce }); return n }
		if n := announced(a); n != 1 {
			t.Errorf("announced %d times for 100 claims within the grace, want once", n)
		}
		if got := a.journalled("rival"); len(got) != 1 || !strings.Contains(got[0], "02:00:00:00:00:09 claims 10.0.0.208 by arp on eth0") {
			t.Errorf("journal: %q", got)
		}
		a.on(func(time.Time) {
			if _, ours := a.guarded.VIPs[netip.MustParseAddr("10.0.0.208")]; !ours {
				t.Error("the Active's watch does not know its VIP")
			}
		})

		// The successor's announcement may be read before its advert.
		a.on(func(now time.Time) { a.drain(now, true) })
		pass(skewB - time.Millisecond)
		a.events <- claim
		pass(100 * time.Millisecond)
		if announced(a) != 1 || announced(b) != 0 {
			t.Error("the successor's announcement was answered")
		}
		a.on(func(now time.Time) { a.drain(now, false) })
		pass(100 * time.Millisecond)
		w.expect(vrrp.Active, vrrp.Backup)
		before := announced(a)
		a.events <- claim
		pass(100 * time.Millisecond)
		if n := announced(a) - before; n != 1 {
			t.Errorf("announced %d times for a claim to the address that is ours again, want once", n)
		}
	})
}

func TestSyncGroupIsToldOnce(t *testing.T) {
	group := `
interface: eth0
instances:
  - {name: VI_1, vrid: 51, advert_interval: 10ms, vips: [10.0.0.208]}
  - {name: VI_2, vrid: 52, advert_interval: 10ms, vips: [10.0.0.209]}
sync_groups:
  - {name: VG, instances: [VI_1, VI_2], notify: {any: told}}
haproxy: off
metrics: off
`
	inWorld(t, []string{group}, func(w *world) {
		pass(100 * time.Millisecond)
		w.hosts[0].on(func(time.Time) {
			if want := []string{"GROUP VG BACKUP", "GROUP VG MASTER"}; !slices.Equal(w.hosts[0].notified, want) {
				t.Errorf("notified: %q, want %q", w.hosts[0].notified, want)
			}
		})
	})
}

func TestSyncGroupSharesWhatItTracks(t *testing.T) {
	group := `
interface: eth0
instances:
  - {name: VI_1, vrid: 51, priority: PRIORITY, advert_interval: 10ms, vips: [10.0.0.208], track: {files: [{path: /points}]}}
  - {name: VI_2, vrid: 52, priority: PRIORITY, advert_interval: 10ms, vips: [10.0.0.209]}
sync_groups:
  - {name: VG, instances: [VI_1, VI_2]}
haproxy: off
metrics: off
`
	configs := []string{strings.ReplaceAll(group, "PRIORITY", "101"), strings.ReplaceAll(group, "PRIORITY", "100")}
	inWorld(t, configs, func(w *world) {
		pass(200 * time.Millisecond)
		w.expect(vrrp.Active, vrrp.Backup)
		before := len(w.hosts[0].journalled("transition"))
		w.hosts[0].post(w.t.Context(), checkUpdated{health.Update{Check: health.FileName("/points"), Up: true, Value: -20}})
		pass(time.Second)
		w.expect(vrrp.Backup, vrrp.Active)
		if w.hosts[1].state("VI_2") != vrrp.Active {
			t.Error("the member that tracks nothing has stayed behind")
		}
		if n := len(w.hosts[0].journalled("transition")) - before; n != 2 {
			t.Errorf("%d transitions for one move of two instances, want 2", n)
		}
	})
}
