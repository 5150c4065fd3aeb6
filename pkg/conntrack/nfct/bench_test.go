// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/pkg/conntrack/record"
)

// perEntry reports the wall time, and the CPU time of this thread, which is the
// kernel's work for its system calls too, for each of so many entries.
func perEntry(b *testing.B, entries int, wall, cpu time.Duration) {
	b.Helper()
	n := float64(b.N * entries)
	b.ReportMetric(float64(wall.Nanoseconds())/n, "ns/entry")
	b.ReportMetric(float64(cpu.Nanoseconds())/n, "cpu-ns/entry")
	b.ReportMetric(0, "ns/op")
}

// threadTime is the CPU time that the calling thread has used; the goroutine stays on
// it.
func threadTime(b *testing.B) time.Duration {
	b.Helper()
	runtime.LockOSThread()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// BenchmarkApply is what a batch costs for each entry of a table of 100,000, with NAT.
func BenchmarkApply(b *testing.B) {
	const background, batch = 100_000, 640
	l := newLab(b, routerRules)
	table := l.a.table()
	fill(b, table, background)
	entries := make([]Op, batch)
	for i := range entries {
		entries[i].Entry = natEntry(background + i)
	}
	do := func(b *testing.B, action Action) {
		for i := range entries {
			entries[i].Action = action
		}
		if _, err := table.Apply(entries); err != nil {
			b.Fatal(err)
		}
	}
	tests := []struct {
		name          string
		before, after Action
		measured      Action
	}{
		{"create", Delete, Set, Set},
		{"set again", Set, Set, Set},
		{"check", Set, Set, Check},
		{"loosen", Set, Set, Loosen},
		{"delete", Set, Delete, Delete},
	}
	for _, test := range tests {
		b.Run(test.name, func(b *testing.B) {
			var wall, cpu time.Duration
			for b.Loop() {
				do(b, test.before)
				start, used := time.Now(), threadTime(b)
				do(b, test.measured)
				wall, cpu = wall+time.Since(start), cpu+threadTime(b)-used
			}
			perEntry(b, batch, wall, cpu)
			do(b, Delete)
		})
	}
}

// fill puts entries into the table.
func fill(b *testing.B, table *Table, entries int) {
	b.Helper()
	ops := make([]Op, entries)
	for i := range ops {
		ops[i].Entry = natEntry(i)
	}
	if tally, err := table.Apply(ops); err != nil || tally.Counts[Done] != entries {
		b.Fatalf("%+v, %v", tally, err)
	}
}

// BenchmarkDump is a walk over a table of 100,000, for each entry.
func BenchmarkDump(b *testing.B) {
	const entries = 100_000
	l := newLab(b, routerRules)
	fill(b, l.a.table(), entries)
	var wall, cpu time.Duration
	for b.Loop() {
		l.a.do(func() error {
			start, used, n := time.Now(), threadTime(b), 0
			err := dump(context.Background(), DefaultFilter(), func(*record.Entry) { n++ })
			if wall, cpu = wall+time.Since(start), cpu+threadTime(b)-used; n != entries {
				b.Errorf("%d entries, want %d", n, entries)
			}
			return err
		})
	}
	perEntry(b, entries, wall, cpu)
}

// BenchmarkRead is what reading an event costs that is queued.
func BenchmarkRead(b *testing.B) {
	l := newLab(b, routerRules)
	other := l.a.table()
	events := l.a.subscribe(l.a.table(), Options{Filter: everything(), Buffer: 1 << 22})
	const batch = 640
	ops := make([]Op, batch)
	for i := range ops {
		ops[i] = Op{Action: Delete, Entry: natEntry(i)}
	}
	var wall, cpu time.Duration
	for b.Loop() {
		for i := range ops {
			ops[i].Action = Set + Delete - ops[i].Action // in turn
		}
		if _, err := other.Apply(ops); err != nil {
			b.Fatal(err)
		}
		start, used, n := time.Now(), threadTime(b), 0
		for n < batch {
			read, err := events.Read(func(*Event) {})
			if err != nil || read == 0 {
				b.Fatalf("%d events of %d, %v", n, batch, err)
			}
			n += read
		}
		wall, cpu = wall+time.Since(start), cpu+threadTime(b)-used
	}
	perEntry(b, batch, wall, cpu)
}

// BenchmarkShortConnections is what it costs the thread that follows one router and
// tells the other, for each TCP connection that is made, used and closed: two events
// read, one entry created and deleted, as if none were over before a batch leaves.
// What the events cost whoever causes them is in BenchmarkEventCost.
func BenchmarkShortConnections(b *testing.B) {
	l := newLab(b, routerRules)
	l.client.sysctl("net.ipv4.ip_local_port_range", "1024 65535")
	l.server.listen(serverAddr+":80", echo)
	events := l.a.subscribe(l.a.table(), Options{Filter: DefaultFilter(), Buffer: 1 << 23})
	replica := l.b.table()
	runtime.GC()

	stop, cost := make(chan struct{}), make(chan time.Duration)
	go func() {
		used := threadTime(b)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		var ops []Op
		for running := true; running; {
			select {
			case <-stop:
				running = false
			case <-tick.C:
			}
			ops = ops[:0]
			for n := 1; n > 0; {
				var err error
				if n, err = events.Read(func(e *Event) {
					op := Op{Action: Set, Entry: e.Entry}
					if e.Gone {
						op.Action = Delete
					}
					ops = append(ops, op)
				}); err != nil {
					b.Error(err)
				}
			}
			if _, err := replica.Apply(ops); err != nil {
				b.Error(err)
			}
		}
		cost <- threadTime(b) - used
	}()
	block := make([]byte, 100)
	start := time.Now()
	for b.Loop() {
		l.client.do(func() error {
			c, err := net.Dial("tcp", serverAddr+":80")
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := c.Write(block); err != nil {
				return err
			}
			_, err = io.ReadFull(c, block)
			return err
		})
	}
	wall := time.Since(start)
	close(stop)
	cpu := <-cost
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/connection")
	b.ReportMetric(float64(b.N)/wall.Seconds(), "connections/s")
	b.ReportMetric(float64(events.Figures().Ignored), "ignored")
}

// BenchmarkEventCost is what an event costs who causes it: nothing, if nobody listens;
// with the socket filter dropping it; and queued.
func BenchmarkEventCost(b *testing.B) {
	const batch = 640
	ops := make([]Op, batch)
	for i := range ops {
		ops[i].Entry = natEntry(i)
	}
	cost := func(b *testing.B, other *Table, drain func()) {
		var wall, cpu time.Duration
		for b.Loop() {
			for i := range ops {
				ops[i].Action = Set
			}
			start, used := time.Now(), threadTime(b)
			if _, err := other.Apply(ops); err != nil {
				b.Fatal(err)
			}
			wall, cpu = wall+time.Since(start), cpu+threadTime(b)-used
			drain()
			for i := range ops {
				ops[i].Action = Delete
			}
			if _, err := other.Apply(ops); err != nil {
				b.Fatal(err)
			}
			drain()
		}
		perEntry(b, batch, wall, cpu)
	}
	b.Run("nobody listens", func(b *testing.B) {
		l := newLab(b, routerRules)
		cost(b, l.a.table(), func() {})
	})
	listening := everything()
	b.Run("dropped by the filter", func(b *testing.B) {
		l := newLab(b, routerRules)
		filter := listening
		filter.Protocols = []uint8{unix.IPPROTO_UDP}
		l.a.subscribe(l.a.table(), Options{Filter: filter, Buffer: 1 << 22})
		cost(b, l.a.table(), func() {})
	})
	b.Run("queued", func(b *testing.B) {
		l := newLab(b, routerRules)
		events := l.a.subscribe(l.a.table(), Options{Filter: listening, Buffer: 1 << 22})
		cost(b, l.a.table(), func() {
			for {
				if n, err := events.Read(func(*Event) {}); n == 0 || err != nil {
					return
				}
			}
		})
	})
}
