// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"testing"
	"time"

	"hafast/internal/link/nstest"
	"hafast/pkg/conntrack/record"
)

// TestNothingIsReopenedByACheck: where two hosts are Active for VIPs of their own, each has
// replicas of the other's connections, which stay established while these close: the
// states between are not told. An audit must not lift the closing entry, with a minute to
// live, back to five days.
func TestNothingIsReopenedByACheck(t *testing.T) {
	nstest.Enter(t)
	table, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	in := func(state uint8, timeout time.Duration) record.Entry {
		e := plainEntry(1)
		e.TCP.State, e.Timeout = state, timeout
		return e
	}
	for _, test := range []struct {
		name        string
		there, told record.Entry
		action      Action
		want        Outcome
		state       uint8
	}{
		{"closing, checked", in(TCPLastAck, 30*time.Second), in(TCPEstablished, 120*time.Hour), Check, Kept, TCPLastAck},
		{"closed, checked", in(TCPTimeWait, 120*time.Second), in(TCPEstablished, 120*time.Hour), Check, Kept, TCPTimeWait},
		{"closed, and made anew", in(TCPTimeWait, 120*time.Second), in(TCPEstablished, 120*time.Hour), Set, Updated, TCPEstablished},
		{"established, checked", in(TCPEstablished, time.Hour), in(TCPFinWait, 120*time.Second), Check, Refreshed, TCPFinWait},
		{"being made, checked", in(TCPSynRecv, time.Minute), in(TCPEstablished, 120*time.Hour), Check, Updated, TCPEstablished},
	} {
		ops := []Op{{Action: Delete, Entry: test.there}, {Entry: test.there}}
		if _, err := table.Apply(ops); err != nil || ops[1].Outcome != Done {
			t.Fatalf("%s: %v, %v", test.name, ops[1].Outcome, err)
		}
		ops = []Op{{Action: test.action, Entry: test.told}}
		if tally, err := table.Apply(ops); err != nil || ops[0].Outcome != test.want {
			t.Errorf("%s: %v (%v), want %v; %v", test.name, ops[0].Outcome, tally.Refusal, test.want, err)
		}
		err := table.Get([]record.EntryKey{test.there.Key}, func(_ int, e *record.Entry) {
			if e.TCP.State != test.state {
				t.Errorf("%s: state %d with %v to live, want state %d", test.name, e.TCP.State, e.Timeout, test.state)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
