// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Costs of replication. Each is to be read beside the floor that the kernel sets: of a
// look-up among many flows, 230 to 330 ns, and of an insertion, 600 ns.

// manyFlows are of different clients.
func manyFlows(n int) []Flow {
	flows := make([]Flow, n)
	for i := range flows {
		flows[i] = flow4(uint16(i))
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 10<<24|uint32(i>>16))
		flows[i].Client = netip.AddrPortFrom(netip.AddrFrom4(a), uint16(i))
	}
	return flows
}

func replicasOf(flows []Flow) []Replica {
	list := make([]Replica, len(flows))
	for i := range flows {
		list[i] = Replica{Flow: flows[i]}
	}
	return list
}

// measure runs work b.N times, prepare before each, and reports the processor time for
// each of the things that a turn is about: a busy machine does not count.
func measure(b *testing.B, count int, what string, prepare, work func()) {
	b.Helper()
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		prepare()
		b.StartTimer()
		before := processorTime(b)
		work()
		used += processorTime(b) - before
	}
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N)/float64(count), "cpu-ns/"+what)
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func empty(b *testing.B, d *DataPath) {
	b.Helper()
	if _, err := d.DeleteFlows(func(Flow) bool { return true }); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReplicas writes 100,000 flows in datagrams of 90: new ones, and again; and
// beside it what BatchUpdate takes, which cannot compare.
func BenchmarkReplicas(b *testing.B) {
	const count, datagram = 100_000, 90
	lab(b)
	d := openWith(b, Options{Flows: 4 * count})
	steerTo(b, d, 3)
	flows := manyFlows(count)
	replicas := replicasOf(flows)
	apply := func(want ReplicaOutcome) func() {
		return func() {
			for some := range slices.Chunk(replicas, datagram) {
				if err := d.ApplyReplicas(some); err != nil {
					b.Fatal(err)
				}
				if some[0].Outcome != want {
					b.Fatalf("outcome %v", some[0].Outcome)
				}
			}
		}
	}
	update := func() {
		for some := range slices.Chunk(flows, datagram) {
			if err := d.PutFlows(some); err != nil {
				b.Fatal(err)
			}
		}
	}
	drop, keep := func() { empty(b, d) }, func() {}
	b.Run("new", func(b *testing.B) { measure(b, count, "flow", drop, apply(ReplicaAdded)) })
	b.Run("same", func(b *testing.B) { measure(b, count, "flow", keep, apply(ReplicaSame)) })
	b.Run("BatchUpdate, new", func(b *testing.B) { measure(b, count, "flow", drop, update) })
	b.Run("BatchUpdate, same", func(b *testing.B) { measure(b, count, "flow", keep, update) })
}

// BenchmarkWalk reads a million flows, 128 at a time.
func BenchmarkWalk(b *testing.B) {
	const count = 1_000_000
	lab(b)
	d := openWith(b, Options{Flows: 2 * count})
	if err := d.PutFlows(manyFlows(count)); err != nil {
		b.Fatal(err)
	}
	into := make([]Flow, 128)
	measure(b, count, "flow", func() {}, func() {
		walk, seen := d.Walk(), 0
		toTheEnd(b, func() error {
			n, err := walk.Next(into)
			seen += n
			return err
		})
		if seen != count {
			b.Fatalf("seen %d", seen)
		}
	})
}

// BenchmarkSweep visits 100,000 replicas and deletes half of them.
func BenchmarkSweep(b *testing.B) {
	const count = 100_000
	lab(b)
	d := openWith(b, Options{Flows: 4 * count})
	replicas := replicasOf(manyFlows(count))
	var before uint32
	measure(b, count, "flow", func() {
		if err := d.ApplyReplicas(replicas); err != nil {
			b.Fatal(err)
		}
		before = d.NextGeneration()
		if err := d.ApplyReplicas(replicas[:count/2]); err != nil {
			b.Fatal(err)
		}
	}, func() {
		sweep, deleted := d.SweepReplicas(before), 0
		toTheEnd(b, func() error {
			n, err := sweep.Next(func(netip.Addr) bool { return true }, 512)
			deleted += n
			return err
		})
		if deleted != count/2 {
			b.Fatalf("%d deleted", deleted)
		}
	})
}

// toTheEnd calls next until it says io.EOF.
func toTheEnd(t testing.TB, next func() error) {
	t.Helper()
	for {
		if err := next(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkFlowEvents reads what so many new flows have left in the ring.
func BenchmarkFlowEvents(b *testing.B) {
	const count = 10_000
	lab(b)
	d := open(b, "")
	steerTo(b, d, 1)
	d.ListenFlows(true)
	into := make([]FlowEvent, 512)
	measure(b, count, "event", func() { makeFlows(b, d, count) }, func() {
		for seen := 0; seen < count; {
			n, lost, err := d.FlowEvents(into)
			if err != nil || lost != 0 || n == 0 {
				b.Fatalf("%d events after %d, %d lost, %v", n, seen, lost, err)
			}
			seen += n
		}
	})
}

// makeFlows sends datagrams of so many clients, of whom the table knows none.
func makeFlows(b *testing.B, d *DataPath, count int) {
	b.Helper()
	empty(b, d)
	frame := udp4Frame("198.51.100.7:5", "192.0.2.1:53")
	opts := &ebpf.RunOptions{Data: frame}
	for i := range count {
		binary.BigEndian.PutUint32(frame[14+12:], 10<<24|uint32(i))
		if _, err := d.Program().Run(opts); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTraffic(b *testing.B) {
	lab(b)
	d := open(b, "")
	measure(b, 1, "call", func() {}, func() {
		if _, err := d.Traffic(); err != nil {
			b.Fatal(err)
		}
	})
}
