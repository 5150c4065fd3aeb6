// SPDX-License-Identifier: Apache-2.0

package vrrp_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hafast/pkg/vrrp"
)

func instance(name string, vrid uint8, group string) vrrp.Instance {
	return vrrp.Instance{Name: name, Interface: "eth0", Group: group, Params: vrrp.Params{
		Version: 3, VRID: vrid, Priority: 100, Interval: second, Preempt: true, Addresses: []netip.Addr{vip},
	}}
}

// newRouter returns a router whose instances are all started.
func newRouter(t *testing.T, instances ...vrrp.Instance) *vrrp.Router {
	t.Helper()
	r, err := vrrp.NewRouter(instances)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range instances {
		r.Step(epoch, in.Name, vrrp.SetSource{Addr: ours})
		r.Step(epoch, in.Name, vrrp.Start{})
	}
	return r
}

func wantOutputs(t *testing.T, got []vrrp.Output, want ...vrrp.Output) {
	t.Helper()
	opts := []cmp.Option{cmpopts.EquateComparable(netip.Addr{}), cmpopts.IgnoreFields(vrrp.Changed{}, "Due"), cmpopts.EquateEmpty()}
	if d := cmp.Diff(want, got, opts...); d != "" {
		t.Fatalf("outputs (-want +got):\n%s", d)
	}
}

func wantStates(t *testing.T, r *vrrp.Router, want map[string]vrrp.State) {
	t.Helper()
	for name, state := range want {
		if got := r.State(name); got != state {
			t.Errorf("%s is %s, want %s", name, got, state)
		}
	}
}

func TestNewRouterRefusesTwins(t *testing.T) {
	other := instance("b", 1, "")
	for name, second := range map[string]vrrp.Instance{
		"one name":                       instance("a", 2, ""),
		"one VRID, interface and family": other,
	} {
		if _, err := vrrp.NewRouter([]vrrp.Instance{instance("a", 1, ""), second}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	other.Interface = "eth1"
	if _, err := vrrp.NewRouter([]vrrp.Instance{instance("a", 1, ""), other}); err != nil {
		t.Errorf("one VRID on two interfaces: %v", err)
	}
}

func TestUnknownInstance(t *testing.T) {
	r := newRouter(t, instance("a", 1, ""))
	wantOutputs(t, r.Step(epoch, "nobody", vrrp.Stop{}))
	if r.Machine("nobody") != nil || r.Fault("nobody") != "" {
		t.Error("an unknown instance has a machine or a fault")
	}
}

func TestReconfigure(t *testing.T) {
	active := func(t *testing.T, instances ...vrrp.Instance) *vrrp.Router {
		r := newRouter(t, instances...)
		r.Tick(epoch.Add(5 * second))
		return r
	}
	now := epoch.Add(5*second + second/2)

	t.Run("an Active stays and keeps its pace", func(t *testing.T) {
		r := active(t, instance("a", 1, ""))
		before, _ := r.Deadline()
		next := instance("a", 1, "")
		next.Params.Preempt = false
		out, err := r.Reconfigure(now, []vrrp.Instance{next})
		if err != nil {
			t.Fatal(err)
		}
		wantOutputs(t, out)
		wantStates(t, r, map[string]vrrp.State{"a": vrrp.Active})
		if after, _ := r.Deadline(); after != before {
			t.Errorf("the next advert moved by %s", after.Sub(before))
		}
	})
	t.Run("another interval is announced at once", func(t *testing.T) {
		r := active(t, instance("a", 1, ""))
		next := instance("a", 1, "")
		next.Params.Interval = 3 * second
		out, _ := r.Reconfigure(now, []vrrp.Instance{next})
		wantOutputs(t, out, vrrp.Output{Instance: "a", Action: vrrp.Send{Priority: 100}})
		if at, _ := r.Deadline(); at != now.Add(3*second) {
			t.Errorf("the next advert is due in %s", at.Sub(now))
		}
	})
	t.Run("a Backup in version 2 waits by the new interval", func(t *testing.T) {
		in := instance("a", 1, "")
		in.Params.Version = 2
		r := newRouter(t, in)
		in.Params.Interval = 2 * second
		if _, err := r.Reconfigure(now, []vrrp.Instance{in}); err != nil {
			t.Fatal(err)
		}
		rig := &rig{t: t, params: in.Params}
		if _, _, err := r.Receive(now, "eth0", rig.packet(higher, 200, nil)); err != nil {
			t.Fatal(err)
		}
		if at, _ := r.Deadline(); at != now.Add(6*second+skew(100, second)) {
			t.Errorf("silence is noticed after %s", at.Sub(now))
		}
	})
	for name, next := range map[string][]vrrp.Instance{
		"one that is gone hands over":             nil,
		"one with another VRID starts as another": {instance("a", 2, "")},
	} {
		t.Run(name, func(t *testing.T) {
			r := active(t, instance("a", 1, ""))
			out, err := r.Reconfigure(now, next)
			if err != nil {
				t.Fatal(err)
			}
			wantOutputs(
				t, out,
				vrrp.Output{Instance: "a", Action: vrrp.Send{Priority: 0}},
				vrrp.Output{Instance: "a", Action: vrrp.Changed{From: vrrp.Active, To: vrrp.Backup, Cause: vrrp.CauseSyncGroup}},
				vrrp.Output{Instance: "a", Action: vrrp.Release{}},
				vrrp.Output{Instance: "a", Action: vrrp.Changed{From: vrrp.Backup, To: vrrp.Init, Cause: vrrp.CauseShutdown}},
			)
			wantStates(t, r, map[string]vrrp.State{"a": vrrp.Init})
		})
	}
	t.Run("one that is gone while it hands over releases", func(t *testing.T) {
		r := active(t, instance("a", 1, ""))
		r.Step(now, "a", vrrp.Stop{})
		out, _ := r.Reconfigure(now, nil)
		wantOutputs(
			t, out,
			vrrp.Output{Instance: "a", Action: vrrp.Send{Priority: 0}},
			vrrp.Output{Instance: "a", Action: vrrp.Changed{From: vrrp.Active, To: vrrp.Init, Cause: vrrp.CauseShutdown}},
			vrrp.Output{Instance: "a", Action: vrrp.Release{}},
		)
	})
	t.Run("a bad list changes nothing", func(t *testing.T) {
		r := active(t, instance("a", 1, ""))
		if _, err := r.Reconfigure(now, []vrrp.Instance{instance("b", 1, ""), instance("c", 1, "")}); err == nil {
			t.Error("no error")
		}
		wantStates(t, r, map[string]vrrp.State{"a": vrrp.Active})
	})
	t.Run("a sync group is freed of the member that kept it down", func(t *testing.T) {
		for name, ev := range map[string]vrrp.Event{
			"fault": vrrp.SetFault{Reason: "link"}, "out of service": vrrp.SetPriority{Priority: 0},
		} {
			r := newRouter(t, instance("a", 1, "G"), instance("b", 2, "G"))
			r.Step(epoch, "b", ev)
			if _, err := r.Reconfigure(now, []vrrp.Instance{instance("a", 1, "G")}); err != nil {
				t.Fatal(err)
			}
			wantStates(t, r, map[string]vrrp.State{"a": vrrp.Backup})
			if got := r.Machine("a").Priority(); got != 100 {
				t.Errorf("%s: priority is %d", name, got)
			}
		}
	})
	t.Run("a new member joins its group's state", func(t *testing.T) {
		r := active(t, instance("a", 1, "G"))
		if _, err := r.Reconfigure(now, []vrrp.Instance{instance("a", 1, "G"), instance("b", 2, "G")}); err != nil {
			t.Fatal(err)
		}
		r.Step(now, "b", vrrp.Start{})
		wantStates(t, r, map[string]vrrp.State{"a": vrrp.Active, "b": vrrp.Active})
	})
}

func TestSyncGroupFaultNamesItsCause(t *testing.T) {
	r := newRouter(t, instance("a", 1, "G"), instance("b", 2, "G"), instance("c", 3, ""))
	r.Step(epoch, "b", vrrp.SetFault{Reason: "interface eth1 is down"})
	wantStates(t, r, map[string]vrrp.State{"a": vrrp.Fault, "b": vrrp.Fault, "c": vrrp.Backup})
	for name, want := range map[string]string{
		"a": "sync group G: b: interface eth1 is down", "b": "interface eth1 is down", "c": "",
	} {
		if got := r.Fault(name); got != want {
			t.Errorf("%s: fault is %q, want %q", name, got, want)
		}
	}
	// One fault ends, another has come meanwhile.
	r.Step(epoch, "a", vrrp.SetFault{Reason: "interface eth0 is down"})
	r.Step(epoch, "b", vrrp.Recover{})
	wantStates(t, r, map[string]vrrp.State{"a": vrrp.Fault, "b": vrrp.Fault})
	r.Step(epoch, "a", vrrp.Recover{})
	wantStates(t, r, map[string]vrrp.State{"a": vrrp.Backup, "b": vrrp.Backup})
}

func TestNames(t *testing.T) {
	for state, want := range map[vrrp.State]string{
		vrrp.Init: "init", vrrp.Backup: "backup", vrrp.Active: "active", vrrp.Fault: "fault",
	} {
		if got := state.String(); got != want {
			t.Errorf("state %d is %q, want %q", state, got, want)
		}
	}
	if got := vrrp.RejectTTL.Error(); got != "advertisement rejected: ttl" {
		t.Errorf("error is %q", got)
	}
}

// Adverts that are almost due go with those that are, and the next ones are due
// when they would have been.
func TestAdvertsGoTogether(t *testing.T) {
	const interval = 64 * time.Millisecond
	for _, tt := range []struct {
		name  string
		apart time.Duration
		want  int
	}{
		{"a 64th of the interval apart", interval / 64, 2},
		{"further apart", interval/64 + 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var instances []vrrp.Instance
			for vrid := uint8(1); vrid <= 2; vrid++ {
				instances = append(instances, vrrp.Instance{
					Name: string('a' + rune(vrid)), Interface: "eth0",
					Params: vrrp.Params{
						Version: 3, VRID: vrid, Priority: vrrp.PriorityOwner, Interval: interval,
						Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, vrid})},
					},
				})
			}
			r, err := vrrp.NewRouter(instances)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Unix(0, 0)
			r.Step(start, instances[0].Name, vrrp.Start{})
			r.Step(start.Add(tt.apart), instances[1].Name, vrrp.Start{})

			now := start.Add(interval)
			if out := r.Tick(now); len(out) != tt.want {
				t.Errorf("%d adverts at the first deadline, want %d: %v", len(out), tt.want, out)
			}
			second, _ := r.Machine(instances[1].Name).Deadline()
			want := start.Add(tt.apart + interval)
			if tt.want == 2 {
				want = want.Add(interval)
			}
			if !second.Equal(want) {
				t.Errorf("the second one's next advert is due at %s, want %s", second, want)
			}
		})
	}
}

func TestAdvertsOfTheDeadCountForNothing(t *testing.T) {
	b := newRig(t, nil)
	b.router.SetLife(higher, vrrp.LifeDown)
	before := b.in()
	if _, _, err := b.router.Receive(b.now.Add(second), "eth0", b.packet(higher, 200, nil)); !errors.Is(err, vrrp.RejectPeerDown) {
		t.Errorf("an advert of a dead host gives %v", err)
	}
	b.wantTimer(before)
	b.router.SetLife(higher, vrrp.LifeUnknown)
	b.becomeActive()
	b.hear(higher, 200)
	b.wantState(vrrp.Backup)
}

// TestSilenceOfTheLivingIsBorne has adverts every 10 ms stop, while the host is known
// to be alive or is not.
func TestSilenceOfTheLivingIsBorne(t *testing.T) {
	quick := func(p *vrrp.Params) { p.Interval = 10 * time.Millisecond }
	slow := func(p *vrrp.Params) { p.Interval = second }
	for _, tt := range []struct {
		name   string
		change func(*vrrp.Params)
		life   vrrp.Life
		want   time.Duration // from the last advert to Active
	}{
		{"unknown", quick, vrrp.LifeUnknown, 36*time.Millisecond + 93750*time.Nanosecond},
		{"alive", quick, vrrp.LifeUp, 3 * second},
		{"alive, and the adverts slower than that", slow, vrrp.LifeUp, 3*second + 609375*time.Microsecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newRig(t, tt.change)
			b.hear(higher, 200)
			last := b.now
			b.router.SetLife(higher, tt.life)
			for range 2 {
				if b.router.State("VI_1") == vrrp.Backup {
					b.fire()
				}
			}
			b.wantState(vrrp.Active)
			if took := b.now.Sub(last); took != tt.want {
				t.Errorf("Active after %v, want %v", took, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		name string
		then func(b *rig)
	}{
		{"it says that it goes", func(b *rig) { b.hear(higher, vrrp.PriorityStop) }},
		{"it is out of service", func(b *rig) { b.step(vrrp.ActiveLost{}) }},
		{"its priority is lower", func(b *rig) { b.hear(higher, 50) }},
	} {
		t.Run("not if "+tt.name, func(t *testing.T) {
			b := newRig(t, quick)
			b.hear(higher, 200)
			b.router.SetLife(higher, vrrp.LifeUp)
			tt.then(b)
			b.fire()
			b.wantState(vrrp.Active)
		})
	}
	t.Run("and no longer once it is in doubt", func(t *testing.T) {
		b := newRig(t, quick)
		b.hear(higher, 200)
		b.router.SetLife(higher, vrrp.LifeUp)
		b.fire()
		b.router.SetLife(higher, vrrp.LifeUnknown)
		b.step(vrrp.ActiveLost{Alone: true})
		b.wantState(vrrp.Active)
	})
}

func TestDeferring(t *testing.T) {
	b := newRig(t, nil)
	b.router.StepAll(b.now, vrrp.Defer{On: true})
	for range 10 {
		b.now = b.now.Add(second)
		b.hear(lower, 50)
	}
	b.wantState(vrrp.Backup)
	b.router.StepAll(b.now, vrrp.Defer{On: false})
	b.now = b.now.Add(second)
	b.hear(lower, 50)
	b.fire()
	b.wantState(vrrp.Active)

	b = newRig(t, nil)
	b.router.StepAll(b.now, vrrp.Defer{On: true})
	b.hear(lower, 50)
	b.fire() // nobody else is there any more
	b.wantState(vrrp.Active)
}

func TestResumeStartsAsActive(t *testing.T) {
	for priority, state := range map[uint8]vrrp.State{100: vrrp.Active, vrrp.PriorityStop: vrrp.Backup} {
		r, err := vrrp.NewRouter([]vrrp.Instance{instance("a", 1, "")})
		if err != nil {
			t.Fatal(err)
		}
		r.Step(epoch, "a", vrrp.SetPriority{Priority: priority})
		r.Step(epoch, "a", vrrp.Start{Resume: true})
		if got := r.State("a"); got != state {
			t.Errorf("resumed with priority %d it is %s, want %s", priority, got, state)
		}
	}
}
