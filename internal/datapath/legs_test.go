// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"log/slog"
	"testing"

	"hafast/internal/steering"
	"hafast/pkg/loader"
)

// TestUnprovedTargetGetsNothingNew, at once, and keeps what it has; this host's own
// haproxy needs no proof.
func TestUnprovedTargetGetsNothingNew(t *testing.T) {
	l := newLab(t)
	p := l.open()
	p.SetLeg(host(2), false)
	must(t, p.Prepare(desiredOf(self(), other(2)), func(string) bool { return false }))
	old := loader.TargetOld
	if flags(p, host(2)) != old || flags(p, host(1)) != upLocal {
		t.Fatalf("never proved: %v, here %v", flags(p, host(2)), flags(p, host(1)))
	}
	for _, proved := range []bool{true, false, true} {
		want := old
		if proved {
			want = upRemote
		}
		p.SetLeg(host(2), proved)
		if got := flags(p, host(2)); got != want {
			t.Errorf("proved is %v: %v", proved, got)
		}
		l.carry(p, desiredOf(self(), other(2)))
		if got := flags(p, host(2)); got != want {
			t.Errorf("proved is %v, after a reconcile: %v", proved, got)
		}
	}
	p.SetLeg(host(2), false)
	for _, c := range []struct {
		state steering.State
		want  loader.TargetFlags
	}{{steering.Drain, old}, {steering.Down, 0}, {steering.Up, old}} {
		p.SetTargetState(host(2), c.state)
		if got := flags(p, host(2)); got != c.want {
			t.Errorf("%v and unproved: %v, want %v", c.state, got, c.want)
		}
	}
}

// TestLegIsInherited: a successor need not wait for the proof of what worked a moment ago.
func TestLegIsInherited(t *testing.T) {
	l := newLab(t)
	p := l.begin(desiredOf(self(), other(2), other(3)))
	p.SetLeg(host(3), false)
	must(t, p.Close())
	p, err := Open(Options{PinDir: l.pinDir, Flows: loader.MinFlows, Log: slog.New(slog.DiscardHandler)}, l.routes)
	must(t, err)
	defer p.Close()
	must(t, p.Prepare(desiredOf(self(), other(2), other(3)), func(string) bool { return false }))
	if flags(p, host(2)) != upRemote || flags(p, host(3)) != loader.TargetOld {
		t.Errorf("proved %v, unproved %v", flags(p, host(2)), flags(p, host(3)))
	}
}
