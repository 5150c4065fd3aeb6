// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"hafast/pkg/conntrack/record"
)

// perRecord reports the time for each of a batch's records.
func perRecord(b *testing.B, records int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
	b.ReportMetric(float64(records), "records/batch")
}

func benchFlows(six bool) []record.Flow {
	client, vip := address("192.0.2.1"), address("198.51.100.1")
	if six {
		client, vip = address("2001:db8::1"), address("2001:db8:1::1")
	}
	targets := []record.Address{address("10.0.0.1"), address("10.0.0.2")}
	flows := make([]record.Flow, 1000)
	for i := range flows {
		binary.BigEndian.PutUint16(client[14:], uint16(i))
		flows[i] = record.Flow{
			Key:    record.FlowKey{Client: client, VIP: vip, ClientPort: uint16(i), VIPPort: 443, Proto: 6},
			Target: targets[i*7%5%2], Idle: time.Duration(i) * time.Second,
		}
	}
	return flows
}

func benchEntries() []record.Entry {
	entries := make([]record.Entry, 1000)
	for i := range entries {
		original := record.Tuple{Src: address("10.0.0.1"), Dst: address("198.51.100.1"), SrcPort: uint16(i), DstPort: 443, Proto: 6}
		reply := inverse(original)
		reply.Dst = address("203.0.113.1")
		entries[i] = record.Entry{
			Key: record.EntryKey{Tuple: original}, Reply: reply, Status: 0x19e, Timeout: time.Hour,
			TCP: record.TCP{State: 3, ScaleOriginal: 7, ScaleReply: 7, FlagsOriginal: 3, FlagsReply: 3},
		}
	}
	return entries
}

// fill writes records until the batch is full.
func fill(w *BatchWriter, write func(i int) bool) int {
	w.Reset()
	n := 0
	for write(n) {
		n++
	}
	return n
}

func BenchmarkWriteFlows4(b *testing.B) { benchWriteFlows(b, false) }
func BenchmarkWriteFlows6(b *testing.B) { benchWriteFlows(b, true) }

func benchWriteFlows(b *testing.B, six bool) {
	flows, w, n := benchFlows(six), NewBatchWriter(MaxGroups(1500, false)), 0
	b.ReportAllocs()
	for b.Loop() {
		n = fill(w, func(i int) bool { return w.Flow(Set, flows[i]) })
	}
	perRecord(b, n)
}

func BenchmarkReadFlows4(b *testing.B) { benchReadFlows(b, false) }
func BenchmarkReadFlows6(b *testing.B) { benchReadFlows(b, true) }

func benchReadFlows(b *testing.B, six bool) {
	flows, w := benchFlows(six), NewBatchWriter(MaxGroups(1500, false))
	n := fill(w, func(i int) bool { return w.Flow(Set, flows[i]) })
	benchRead(b, w, n)
}

func BenchmarkWriteEntries(b *testing.B) {
	entries, w, n := benchEntries(), NewBatchWriter(MaxGroups(1500, false)), 0
	b.ReportAllocs()
	for b.Loop() {
		n = fill(w, func(i int) bool { return w.Entry(Set, &entries[i]) })
	}
	perRecord(b, n)
}

func BenchmarkReadEntries(b *testing.B) {
	entries, w := benchEntries(), NewBatchWriter(MaxGroups(1500, false))
	n := fill(w, func(i int) bool { return w.Entry(Set, &entries[i]) })
	benchRead(b, w, n)
}

func benchRead(b *testing.B, w *BatchWriter, n int) {
	b.Helper()
	h := &counter{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeGroups(w.Groups(), h); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, n)
}

// BenchmarkSeal and BenchmarkOpen are a datagram that fills an MTU of 1500.
func BenchmarkSeal(b *testing.B) {
	s := sealer(b, ring(b, 1), bootA)
	body, buf := make([]byte, MaxBody(1500, false)), make([]byte, 0, 1500)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Seal(buf, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s, o := sealer(b, ring(b, 1), bootA), NewOpener(ring(b, 1), bootB)
	body := AppendBatch(AppendTo(nil, bootB), Batch{Number: 1, Groups: make([]byte, MaxGroups(1500, false))})
	datagram := sealBody(b, s, body)
	buf := make([]byte, len(datagram))
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, datagram)
		if _, err := o.Open(epoch, buf); err != nil {
			b.Fatal(err)
		}
		o.live.window = window{} // as if it were another one
	}
}

// BenchmarkForged is what a datagram costs whose boot is unknown: the limit on
// derivations times this is what they can take of a processor.
func BenchmarkForged(b *testing.B) {
	forged := seal(b, sealer(b, ring(b, 2), bootA), bootB)
	copy(forged[atKey:atBoot], seal(b, sealer(b, ring(b, 1), bootA), bootB)[atKey:])
	o, now := NewOpener(ring(b, 1), bootB), epoch
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		if _, err := o.Open(now, slices.Clone(forged)); !errors.Is(err, RejectAuth) {
			b.Fatal(err)
		}
	}
}
