// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"hafast/pkg/loader"
)

// instances are instances with a VIP each, of the number that is in their names.
func instances(names ...string) []Instance {
	var out []Instance
	for _, name := range names {
		out = append(out, Instance{Name: name, VIPs: []netip.Addr{vipOf(name[len(name)-1] - '0')}})
	}
	return out
}

// gateOf is the number of the gate that the program asks about a VIP, -1 for none.
func gateOf(t *testing.T, p *Path, vip netip.Addr) int {
	t.Helper()
	vips, err := p.VIPs()
	must(t, err)
	at := slices.IndexFunc(vips, func(v loader.VIP) bool { return v.Addr == vip })
	if at < 0 {
		return -1
	}
	return vips[at].Gate
}

func isOpen(t *testing.T, p *Path, vip netip.Addr) bool {
	t.Helper()
	gate := gateOf(t, p, vip)
	return gate >= 0 && p.Gate(gate)
}

func TestGatesKeepTheirNumbers(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self())
	w.Instances = instances("VI_1", "VI_2", "VI_3")
	p := l.begin(w)
	first, third := gateOf(t, p, vipOf(1)), gateOf(t, p, vipOf(3))
	p.OpenGate("VI_1")
	p.OpenGate("VI_2")
	p.OpenGate("VI_3")
	second := gateOf(t, p, vipOf(2))

	w.Instances = instances("VI_3", "VI_1")
	l.carry(p, w)
	if gateOf(t, p, vipOf(1)) != first || gateOf(t, p, vipOf(3)) != third {
		t.Error("an instance that stays has another gate")
	}
	if gateOf(t, p, vipOf(2)) != -1 || p.Gate(second) {
		t.Error("an instance that has gone left its VIP, or its gate open")
	}
	if !isOpen(t, p, vipOf(1)) || !isOpen(t, p, vipOf(3)) {
		t.Error("the gate of an instance that stays was closed")
	}

	// Whoever comes by a number that was in use begins with a closed gate.
	w.Instances = instances("VI_3", "VI_4", "VI_1")
	l.carry(p, w)
	if gateOf(t, p, vipOf(4)) != second || isOpen(t, p, vipOf(4)) {
		t.Errorf("gate %d, open %t; want %d, closed", gateOf(t, p, vipOf(4)), isOpen(t, p, vipOf(4)), second)
	}
	p.CloseGate("VI_1")
	if isOpen(t, p, vipOf(1)) || !isOpen(t, p, vipOf(3)) {
		t.Error("closed the wrong gate")
	}
}

// An instance may be Active before the desired state that brings it has been reconciled.
func TestGateIsOpenedAheadOfItsWish(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self())
	p := l.begin(w)
	p.OpenGate("VI_2")
	w.Instances = instances("VI_1", "VI_2")
	l.carry(p, w)
	if !isOpen(t, p, vipOf(2)) {
		t.Error("the gate stays closed, and the VIP unanswered")
	}
}

func TestTooManyInstances(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self())
	p := l.begin(w)
	for i := range loader.MaxGates {
		w.Instances = append(w.Instances, Instance{Name: string(rune('A' + i))})
	}
	p.work.Lock()
	defer p.work.Unlock()
	if err := p.reconcile(w); err == nil {
		t.Errorf("%d instances found their gates", len(w.Instances))
	}
	p.OpenGate("VI_1")
	if !isOpen(t, p, vipOf(1)) {
		t.Error("one that was there has lost its gate")
	}
}

// Only what a predecessor answered for until a moment ago can be resumed.
func TestResumable(t *testing.T) {
	for name, test := range map[string]struct {
		lease time.Duration
		want  bool
	}{
		"fresh": {time.Minute, true},
		"stale": {-time.Nanosecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			w := desiredOf(self())
			w.Instances = instances("VI_1", "VI_2")
			first := l.begin(w)
			first.Renew(time.Minute)
			first.OpenGate("VI_1")
			first.RenewLease(Now() + test.lease)
			must(t, first.Close())

			p := l.open()
			if got := p.Resumable(vipOf(1)); got != test.want {
				t.Errorf("the one that was Active: resumable %t, want %t", got, test.want)
			}
			if p.Resumable(vipOf(2)) || p.Resumable(vipOf(9)) {
				t.Error("resumable, though nobody was Active for it")
			}
			// Nothing has changed yet.
			if !isOpen(t, p, vipOf(1)) {
				t.Error("the gate was closed before it was decided upon")
			}
			// With the lease in force again, so would be a gate that was left open.
			p.Renew(time.Minute)
			if got := isOpen(t, p, vipOf(1)); got != test.want {
				t.Errorf("the lease renewed: open %t, want %t", got, test.want)
			}
			w.Instances = instances("VI_2", "VI_1")
			must(t, p.Prepare(w, func(name string) bool { return name == "VI_1" && p.Resumable(vipOf(1)) }))
			if got := isOpen(t, p, vipOf(1)); got != test.want {
				t.Errorf("prepared: open %t, want %t", got, test.want)
			}
			if isOpen(t, p, vipOf(2)) {
				t.Error("prepared: the gate of another is open")
			}
		})
	}
}

// Both numbers stay with their owners over a restart: see the package's story.
func TestGatesOverARestart(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self())
	w.Instances = instances("VI_1", "VI_2")
	first := l.begin(w)
	before := gateOf(t, first, vipOf(1))
	must(t, first.Close())
	w.Instances = instances("VI_2", "VI_1")
	p := l.begin(w)
	if got := gateOf(t, p, vipOf(1)); got != before {
		t.Errorf("gate %d, the predecessor's was %d", got, before)
	}
}

func TestRenew(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self())
	w.Instances = instances("VI_1", "VI_2")
	p := l.begin(w)
	p.Renew(time.Minute)
	p.OpenGate("VI_1")
	if lapsed := p.Renew(time.Minute); lapsed != 0 || !isOpen(t, p, vipOf(1)) {
		t.Errorf("lapsed by %v with a minute to go, gate open %t", lapsed, isOpen(t, p, vipOf(1)))
	}
	p.RenewLease(Now() - time.Second)
	lapsed := p.Renew(time.Minute)
	if lapsed < time.Second || lapsed > time.Minute {
		t.Errorf("lapsed by %v, want a second or so", lapsed)
	}
	if isOpen(t, p, vipOf(1)) {
		t.Error("the gate is open again, though others may have taken the VIP")
	}
	if left := p.Lease() - Now(); left < 30*time.Second || left > time.Minute {
		t.Errorf("the lease holds for %v", left)
	}
	p.OpenGate("VI_1")
	if !isOpen(t, p, vipOf(1)) {
		t.Error("cannot be opened any more")
	}
}
