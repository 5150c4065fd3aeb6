// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"testing"

	"hafast/internal/bfd"
	"hafast/internal/membership"
	"hafast/internal/steering"
)

func TestRules(t *testing.T) {
	const unheard = membership.State(0)
	tests := []struct {
		name    string
		facts   facts
		state   State
		target  steering.State
		present bool // may take over
	}{
		// Nothing is known of where it is and what it serves.
		{"never heard", facts{silent: true}, Unknown, steering.Down, false},
		{"never heard, no S-BFD", facts{session: bfd.Unmonitored, silent: true}, Unknown, steering.Down, false},
		{"never heard, dead", facts{session: bfd.Down, silent: true}, Unknown, steering.Down, false},
		{"never heard, out of service", facts{session: bfd.AdminDown, silent: true}, Unknown, steering.Down, false},
		{"never heard, answers", facts{session: bfd.Up, silent: true}, Unknown, steering.Down, true},

		{"serves", facts{session: bfd.Up, hello: membership.Up}, Up, steering.Up, true},
		{"hellos are lost, probes are answered", facts{session: bfd.Up, hello: membership.Up, silent: true}, Up, steering.Up, true},
		{"not probed yet", facts{hello: membership.Up}, Up, steering.Up, true},
		{"no S-BFD", facts{session: bfd.Unmonitored, hello: membership.Up}, Up, steering.Up, true},
		{"not probed yet, silent", facts{hello: membership.Up, silent: true}, Silent, steering.Down, false},
		{"no S-BFD, silent", facts{session: bfd.Unmonitored, hello: membership.Up, silent: true}, Silent, steering.Down, false},
		{"probes unanswered", facts{session: bfd.Down, hello: membership.Up}, Suspect, steering.Drain, false},
		{"probes unanswered, silent", facts{session: bfd.Down, hello: membership.Up, silent: true}, Suspect, steering.Drain, false},
		{"certainly dead", facts{session: bfd.Down, hello: membership.Up, silent: true, certain: true}, HostDead, steering.Down, false},
		{"no lease", facts{session: bfd.AdminDown, hello: membership.Up}, Draining, steering.Drain, false},
		{"its daemon is dead, its data path is not", facts{session: bfd.AdminDown, hello: membership.Up, silent: true}, Draining, steering.Drain, false},

		{"drains: the probe's answer is the newer word", facts{session: bfd.Up, hello: membership.Drain}, Draining, steering.Drain, true},
		{"drained", facts{session: bfd.AdminDown, hello: membership.Drain}, Draining, steering.Drain, false},
		{"drained, no S-BFD", facts{session: bfd.Unmonitored, hello: membership.Drain}, Draining, steering.Drain, true},
		{"drained, no S-BFD, silent", facts{session: bfd.Unmonitored, hello: membership.Drain, silent: true}, Draining, steering.Drain, false},
		{"drained, probes unanswered", facts{session: bfd.Down, hello: membership.Drain}, Suspect, steering.Drain, false},
		{"drained, certainly dead", facts{session: bfd.Down, hello: membership.Drain, silent: true, certain: true}, HostDead, steering.Down, false},

		{"without haproxy, but there", facts{session: bfd.Up, hello: membership.Down}, NotServing, steering.Down, true},
		{"without haproxy", facts{session: bfd.AdminDown, hello: membership.Down}, NotServing, steering.Down, false},
		{"without haproxy, probes unanswered", facts{session: bfd.Down, hello: membership.Down, silent: true}, NotServing, steering.Down, false},

		// It has said goodbye: its flows go on, and it takes over from nobody.
		{"goodbye", facts{session: bfd.Unmonitored, hello: membership.Stopping}, DaemonStopped, steering.Drain, false},
		{"goodbye, silent", facts{session: bfd.Unmonitored, hello: membership.Stopping, silent: true}, DaemonStopped, steering.Drain, false},
		{"goodbye, no lease", facts{session: bfd.AdminDown, hello: membership.Stopping}, DaemonStopped, steering.Drain, false},
		{"goodbye, probes unanswered", facts{session: bfd.Down, hello: membership.Stopping, silent: true, certain: true}, DaemonStopped, steering.Drain, false},
		{"goodbye, still answers", facts{session: bfd.Up, hello: membership.Stopping}, DaemonStopped, steering.Drain, false},
		{"goodbye, and its host is gone", facts{session: bfd.Unmonitored, hello: membership.Stopping, silent: true, vanished: true}, HostDead, steering.Down, false},

		{"inherited", facts{inherited: true, silent: true}, Inherited, steering.Drain, false},
		{"inherited, and its host is gone", facts{inherited: true, silent: true, vanished: true}, HostDead, steering.Down, false},
		{"inherited, probes unanswered", facts{hello: unheard, session: bfd.Down, inherited: true, silent: true}, Suspect, steering.Drain, false},
		{"inherited, certainly dead", facts{session: bfd.Down, inherited: true, silent: true, certain: true}, HostDead, steering.Down, false},
		{"inherited, and heard", facts{session: bfd.Up, hello: membership.Up, inherited: true, vanished: true}, Up, steering.Up, true},
	}
	reached := make(map[State]bool)
	for _, test := range tests {
		state := test.facts.state()
		reached[state] = true
		if state != test.state || state.Target() != test.target {
			t.Errorf("%s: %s, good for %s; want %s, %s", test.name, state, state.Target(), test.state, test.target)
		}
		if got := test.facts.present(); got != test.present {
			t.Errorf("%s: present %t, want %t", test.name, got, test.present)
		}
	}
	if len(reached) != states {
		t.Errorf("%d of %d states are reached", len(reached), states)
	}
}
