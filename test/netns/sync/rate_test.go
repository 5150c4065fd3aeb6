// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hafast/test/netns/path/load"
	"hafast/test/netns/sync/traffic"
)

// TestCost leaves what an idle pair uses out of the cost of a connection.
func TestCost(t *testing.T) {
	at := func(s int, ok, failed uint64) traffic.Count {
		return traffic.Count{OK: ok, Failed: failed, At: int64(s) * int64(time.Second)}
	}
	idle := reading{
		count: at(3, 0, 0), machine: load.Machine{Idle: 3800 * time.Millisecond},
		sender: 30 * time.Millisecond, receiver: 20 * time.Millisecond, sent: 100, returned: 50,
	}.since(reading{count: at(1, 0, 0)}, 2)
	if want := 200 * time.Millisecond; idle.busy != want {
		t.Fatalf("busy for %v when idle, want %v", idle.busy, want)
	}
	before := reading{count: at(10, 500, 1)}
	loaded := reading{
		count: at(14, 4500, 3), machine: load.Machine{Idle: 4 * time.Second, Steal: time.Second},
		sender: time.Second, receiver: 500 * time.Millisecond, sent: 400_200, returned: 4_100,
	}.since(before, 2)
	want := Cost{
		PerSecond: 1000, Failed: 2,
		SenderUS: 235, ReceiverUS: 115, // 1000 ms less 60, 500 ms less 40, by 4000
		IdleActive: 0.015, IdleBackup: 0.01,
		MachineUS: 650, // 8 s less 4 and 1, less 0.4
		SentBytes: 100, ReturnedBytes: 1,
	}
	if diff := cmp.Diff(want, loaded.cost(idle)); diff != "" {
		t.Error(diff)
	}
}
