// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"testing"
	"time"

	"hafast/pkg/loader"
	"hafast/test/program/rig"
)

// TestReflectorRate: of a burst of probes no more are answered than the limit allows
// in as many windows as the burst has touched. A peer's addresses share the limit.
func TestReflectorRate(t *testing.T) {
	const limit, burst = 4, 400
	w := newWorld(t, small())
	w.SetProbe(rig.ProbePort, 2*time.Millisecond, limit)
	probes := [][]byte{probeOf(rig.IPv4()).frame(), probeOf(rig.IPv6()).frame()}
	window := func() uint64 { return uint64(rig.Monotonic()) >> 24 }
	before, err := w.Counters()
	check(t, err)
	first, answered := window(), uint64(0)
	for i := range burst {
		verdict, _, err := w.Run(probes[i%len(probes)])
		check(t, err)
		if verdict == rig.TX {
			answered++
		}
	}
	windows := window() - first + 1
	after, err := w.Counters()
	check(t, err)
	if answered > limit*windows || answered < limit {
		t.Errorf("%d answered in %d windows, limit %d", answered, windows, limit)
	}
	moved := rig.Moved(before, after)
	if moved[loader.SBFDReflected] != answered || moved[loader.SBFDRate] != burst-answered {
		t.Errorf("%d of %d answered, counted %v", answered, burst, moved)
	}
}
