// SPDX-License-Identifier: Apache-2.0

package vrrp_test

import (
	"net/netip"
	"testing"
	"time"

	"hafast/pkg/vrrp"
)

func TestStateMachine(t *testing.T) {
	t.Run("24 silence: Active after 3 x the Active's interval + skew", func(t *testing.T) {
		b := newRig(t, nil)
		b.receive(b.packet(higher, 200, func(a *vrrp.Advert) { a.Interval = 200 * time.Millisecond }))
		b.wantTimer(600*time.Millisecond + skew(100, 200*time.Millisecond))
		heard := b.now
		got := b.fire()
		want(t, got,
			vrrp.Changed{From: vrrp.Backup, To: vrrp.Active, Cause: vrrp.CauseTimeout, Peer: higher},
			vrrp.Send{Priority: 100}, vrrp.Acquire{})
		due := heard.Add(600*time.Millisecond + skew(100, 200*time.Millisecond))
		if changed := got[0].(vrrp.Changed); !changed.Due.Equal(due) {
			t.Errorf("due at %s, want %s", changed.Due, due)
		}
		// As the Active it keeps to its own interval.
		b.wantTimer(second)
	})
	t.Run("24 a tick before the deadline does nothing", func(t *testing.T) {
		b := newRig(t, nil)
		b.now = b.now.Add(b.in() - 1)
		want(t, actions(b.router.Tick(b.now)))
		b.wantState(vrrp.Backup)
	})
	t.Run("25 skew from the learned interval, not in whole centiseconds", func(t *testing.T) {
		for _, priority := range []uint8{1, 100, 101, 254} {
			b := newRig(t, func(p *vrrp.Params) { p.Priority = priority })
			b.receive(b.packet(higher, 255, func(a *vrrp.Advert) { a.Interval = 10 * time.Millisecond }))
			b.wantTimer(30*time.Millisecond + skew(int(priority), 10*time.Millisecond))
		}
	})
	t.Run("25 v2 skew in seconds", func(t *testing.T) {
		b := newRig(t, func(p *vrrp.Params) { p.Version, p.Interval = 2, 4*second })
		b.wantTimer(12*second + skew(100, second))
	})
	t.Run("26 priority 0 heard by a Backup: promote after the skew alone", func(t *testing.T) {
		b := newRig(t, nil)
		b.hear(higher, 200)
		b.now = b.now.Add(300 * time.Millisecond)
		want(t, b.hear(higher, 0))
		b.wantTimer(skew(100, second))
		want(t, b.fire(),
			vrrp.Changed{From: vrrp.Backup, To: vrrp.Active, Cause: vrrp.CausePriorityZero, Peer: higher},
			vrrp.Send{Priority: 100}, vrrp.Acquire{})
	})
	t.Run("26 without preemption too", func(t *testing.T) {
		b := newRig(t, func(p *vrrp.Params) { p.Preempt = false })
		b.hear(higher, 0)
		b.wantTimer(skew(100, second))
	})
	t.Run("26 priority 0 again does not start the skew again", func(t *testing.T) {
		b := newRig(t, nil)
		b.hear(higher, 0)
		b.now = b.now.Add(500 * time.Millisecond)
		b.hear(higher, 0)
		b.wantTimer(skew(100, second) - 500*time.Millisecond)
	})
	t.Run("26 a better advert takes priority 0 back", func(t *testing.T) {
		b := newRig(t, nil)
		b.hear(higher, 0)
		b.hear(higher, 101)
		b.wantTimer(3*second + skew(100, second))
	})
	t.Run("27 priority 0 heard by the Active: advertise at once", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		b.now = b.now.Add(300 * time.Millisecond)
		want(t, b.hear(higher, 0), vrrp.Send{Priority: 100}, vrrp.Reannounce{Rival: higher})
		b.wantTimer(second)
		b.wantState(vrrp.Active)
	})
	t.Run("28 Backup with preempt ignores lower priorities, then promotes", func(t *testing.T) {
		b := newRig(t, nil)
		before := b.in()
		b.now = b.now.Add(second)
		want(t, b.hear(higher, 99))
		b.wantTimer(before - second)
		want(t, b.fire(),
			vrrp.Changed{From: vrrp.Backup, To: vrrp.Active, Cause: vrrp.CausePreempted, Peer: higher},
			vrrp.Send{Priority: 100}, vrrp.Acquire{})
	})
	t.Run("28 an equal priority is not preempted", func(t *testing.T) {
		b := newRig(t, nil)
		b.now = b.now.Add(second)
		b.hear(lower, 100)
		b.wantTimer(3*second + skew(100, second))
	})
	t.Run("28 not before the delay", func(t *testing.T) {
		b := newRig(t, func(p *vrrp.Params) { p.PreemptDelay = 2 * second })
		b.now = b.now.Add(2*second - 1)
		b.hear(higher, 99)
		b.wantTimer(3*second + skew(100, second))
		b.now = b.now.Add(1)
		b.hear(higher, 99)
		b.wantTimer(3*second + skew(100, second) - 1)
	})
	t.Run("28 the owner preempts whatever the setting", func(t *testing.T) {
		b := newRig(t, func(p *vrrp.Params) { p.Priority, p.Preempt = 255, false })
		b.step(vrrp.SetPriority{Priority: 0})
		b.hear(higher, 99)
		b.wantState(vrrp.Backup)
		b.step(vrrp.SetPriority{Priority: 255})
		before := b.in()
		b.hear(higher, 99)
		b.wantTimer(before)
	})
	t.Run("29 Backup without preempt restarts its timer at any nonzero priority", func(t *testing.T) {
		for _, priority := range []uint8{1, 99, 100, 255} {
			b := newRig(t, func(p *vrrp.Params) { p.Preempt = false })
			b.now = b.now.Add(second)
			want(t, b.hear(lower, priority))
			b.wantTimer(3*second + skew(100, second))
		}
	})
	t.Run("30 Active yields to a higher priority", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		want(t, b.hear(lower, 101),
			vrrp.Send{Priority: 100},
			vrrp.Changed{From: vrrp.Active, To: vrrp.Backup, Cause: vrrp.CauseHigher, Peer: lower}, vrrp.Release{})
		b.wantTimer(3*second + skew(100, second))
	})
	t.Run("30 Active yields to an equal priority with the greater address", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		b.hear(higher, 100)
		b.wantState(vrrp.Backup)

		b = newRig(t, nil)
		b.becomeActive()
		b.hear(lower, 100)
		b.wantState(vrrp.Active)
	})
	t.Run("30 the new Active's interval is learned", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		b.receive(b.packet(lower, 101, func(a *vrrp.Advert) { a.Interval = 100 * time.Millisecond }))
		b.wantTimer(300*time.Millisecond + skew(100, 100*time.Millisecond))
	})
	t.Run("31 Active hearing a losing advert: advertises at once", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		b.fire()
		b.now = b.now.Add(300 * time.Millisecond)
		want(t, b.hear(higher, 99), vrrp.Send{Priority: 100},
			vrrp.Noted{Note: vrrp.NoteSecondActive, Peer: higher}, vrrp.Reannounce{Rival: higher})
		b.wantTimer(second)
		want(t, b.hear(higher, 99), vrrp.Send{Priority: 100}, vrrp.Reannounce{Rival: higher})
	})
	t.Run("31 the last word of the router it took over from is not noted", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		b.now = b.now.Add(second - 1)
		want(t, b.hear(higher, 99), vrrp.Send{Priority: 100}, vrrp.Reannounce{Rival: higher})
	})
	t.Run("32 priority 255 is Active at once", func(t *testing.T) {
		p := vrrp.Params{Version: 3, VRID: 51, Priority: 255, Interval: second, Addresses: []netip.Addr{vip}}
		m := vrrp.NewMachine(p)
		want(t, m.Step(epoch, vrrp.Start{}),
			vrrp.Changed{From: vrrp.Init, To: vrrp.Active, Cause: vrrp.CauseOwner}, vrrp.Send{Priority: 255}, vrrp.Acquire{})
	})
	t.Run("32 a second owner is noted", func(t *testing.T) {
		b := newRig(t, func(p *vrrp.Params) { p.Priority = 255 })
		want(t, b.hear(lower, 255),
			vrrp.Noted{Note: vrrp.NoteSecondOwner, Peer: lower}, vrrp.Send{Priority: 255}, vrrp.Reannounce{Rival: lower})
	})
	t.Run("36 v2 and v3 side by side", func(t *testing.T) {
		one := vrrp.Params{Version: 2, VRID: 51, Priority: 100, Interval: second, Preempt: true, Addresses: []netip.Addr{vip}}
		two, six := one, one
		two.Version, two.VRID = 3, 52
		six.Version, six.Addresses = 3, []netip.Addr{netip.MustParseAddr("fe80::100")} // the same VRID, the other family
		router, err := vrrp.NewRouter([]vrrp.Instance{
			{Name: "two", Interface: "eth0", Params: one},
			{Name: "three", Interface: "eth0", Params: two},
			{Name: "six", Interface: "eth0", Params: six},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"two", "three", "six"} {
			router.Step(epoch, name, vrrp.Start{})
		}
		for name, packet := range map[string]vrrp.Packet{
			"two":   (&rig{t: t, params: one}).packet(higher, 200, nil),
			"three": (&rig{t: t, params: two}).packet(higher, 200, nil),
			"six":   (&rig{t: t, params: six}).packet(netip.MustParseAddr("fe80::9"), 200, nil),
		} {
			got, _, err := router.Receive(epoch.Add(second), "eth0", packet)
			if got != name || err != nil {
				t.Errorf("advert for %s went to %q: %v", name, got, err)
			}
			if at, _ := router.Machine(name).Deadline(); !at.Equal(epoch.Add(4*second + skew(100, second))) {
				t.Errorf("%s: timer runs out at %s", name, at)
			}
		}
	})
}

// What goes beyond the RFC, as the package's documentation tells it.
func TestBeyondTheRFC(t *testing.T) {
	t.Run("out of service: resign, but keep the addresses until a successor is heard", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		want(t, b.step(vrrp.SetPriority{Priority: 0}), vrrp.Send{Priority: 0})
		want(t, b.fire(), vrrp.Send{Priority: 0})
		want(t, b.hear(lower, 1),
			vrrp.Changed{From: vrrp.Active, To: vrrp.Backup, Cause: vrrp.CauseResigned, Peer: lower}, vrrp.Release{})
	})
	t.Run("out of service: never preempts", func(t *testing.T) {
		b := newRig(t, nil)
		b.step(vrrp.SetPriority{Priority: 0})
		b.now = b.now.Add(second)
		b.hear(lower, 0)
		b.wantTimer(3*second + skew(0, second))
	})
	t.Run("out of service: a Backup lets all others go first", func(t *testing.T) {
		b := newRig(t, nil)
		b.hear(higher, 200)
		b.now = b.now.Add(3 * second)
		b.step(vrrp.SetPriority{Priority: 0})
		b.wantTimer(3*second + skew(0, second))
	})
	t.Run("in service again: a Backup does not wait longer than any other", func(t *testing.T) {
		b := newRig(t, nil)
		b.step(vrrp.SetPriority{Priority: 0})
		b.wantTimer(3*second + skew(0, second))
		b.step(vrrp.SetPriority{Priority: 100})
		b.wantTimer(3*second + skew(100, second))
	})
	t.Run("in service again: preemption waits for the delay", func(t *testing.T) {
		b := newRig(t, func(p *vrrp.Params) { p.PreemptDelay = 2 * second })
		b.now = b.now.Add(10 * second)
		b.step(vrrp.SetPriority{Priority: 0})
		b.step(vrrp.SetPriority{Priority: 100})
		b.now = b.now.Add(2*second - 1)
		b.hear(lower, 50)
		b.wantTimer(3*second + skew(100, second))
	})
	t.Run("a lower priority is announced by 0, a higher one is not", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		want(t, b.step(vrrp.SetPriority{Priority: 90}), vrrp.Send{Priority: 0}, vrrp.Send{Priority: 90})
		want(t, b.step(vrrp.SetPriority{Priority: 90}))
		want(t, b.step(vrrp.SetPriority{Priority: 95}), vrrp.Send{Priority: 95})
	})
	t.Run("stop: without a successor the Active ends by itself", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		b.step(vrrp.Stop{})
		want(t, b.step(vrrp.Stop{}))
		want(t, b.step(vrrp.SetPriority{Priority: 50}))
		want(t, b.fire(), vrrp.Send{Priority: 0})
		want(t, b.fire(), vrrp.Changed{From: vrrp.Active, To: vrrp.Init, Cause: vrrp.CauseShutdown}, vrrp.Release{})
		if at, ok := b.router.Deadline(); ok {
			t.Errorf("a timer runs in Init, until %s", at)
		}
	})
	t.Run("stop: a fault meanwhile ends it at once", func(t *testing.T) {
		m := vrrp.NewMachine(vrrp.Params{Version: 3, VRID: 1, Priority: 255, Interval: second, Addresses: []netip.Addr{vip}})
		m.Step(epoch, vrrp.Start{})
		m.Step(epoch, vrrp.Stop{})
		want(t, m.Step(epoch, vrrp.SetFault{}), vrrp.Changed{From: vrrp.Active, To: vrrp.Init, Cause: vrrp.CauseShutdown}, vrrp.Release{})
	})
	t.Run("start after stop is in service again", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		b.step(vrrp.Stop{})
		b.hear(lower, 1)
		b.wantState(vrrp.Init)
		b.step(vrrp.Start{})
		b.wantTimer(3*second + skew(100, second))
	})
	t.Run("a stopped instance is not woken by the end of a fault", func(t *testing.T) {
		b := newRig(t, nil)
		b.step(vrrp.Stop{})
		want(t, b.step(vrrp.SetFault{Reason: "link"}))
		want(t, b.step(vrrp.Recover{}))
		b.wantState(vrrp.Init)
	})
	t.Run("start in a fault waits for its end", func(t *testing.T) {
		b := newRig(t, nil)
		b.step(vrrp.Stop{})
		b.step(vrrp.SetFault{Reason: "no address"})
		want(t, b.step(vrrp.Start{}), vrrp.Changed{From: vrrp.Init, To: vrrp.Fault, Cause: vrrp.CauseFault})
		if got := b.router.Fault("VI_1"); got != "no address" {
			t.Errorf("fault is %q", got)
		}
		want(t, b.hear(higher, 200))
		want(t, b.step(vrrp.Recover{}), vrrp.Changed{From: vrrp.Fault, To: vrrp.Backup, Cause: vrrp.CauseRecovered})
	})
	t.Run("a late tick does not slow the cadence, nor is it made up for", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		b.now = b.now.Add(second + 300*time.Millisecond)
		want(t, actions(b.router.Tick(b.now)), vrrp.Send{Priority: 100})
		b.wantTimer(700 * time.Millisecond)
		b.now = b.now.Add(10 * second)
		want(t, actions(b.router.Tick(b.now)), vrrp.Send{Priority: 100})
		b.wantTimer(second)
	})
	t.Run("who is Active is known", func(t *testing.T) {
		b := newRig(t, nil)
		m := b.router.Machine("VI_1")
		if got := m.ActiveAddr(); got.IsValid() {
			t.Errorf("before any advert it is %s", got)
		}
		b.hear(higher, 200)
		if got := m.ActiveAddr(); got != higher {
			t.Errorf("after its advert it is %s", got)
		}
		b.becomeActive()
		if got := m.ActiveAddr(); got != ours {
			t.Errorf("being it ourselves it is %s", got)
		}
	})
}
