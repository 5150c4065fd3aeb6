// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"testing"

	"hafast/pkg/conntrack/wire"
)

// A batch from Push to its acknowledgement, an ack each ackEvery of them.
func BenchmarkBatch(b *testing.B) {
	s, r := NewSender(Limits{}), NewReceiver(Limits{})
	s.NewEpoch()
	payload := make([]byte, 1400)
	now := at(0)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(1000)
		s.Push(Batch{Payload: payload, Oldest: now, Changes: 87})
		for {
			epoch, number, payload, ok := s.Next(now)
			if !ok {
				break
			}
			r.Receive(now, epoch, number, payload)
		}
		if a, due := r.Ack(now); due {
			s.Ack(now, a)
		}
	}
}

// The same when every tenth is lost: the others wait for it, in memory of their own.
func BenchmarkBatchWithLoss(b *testing.B) {
	s, r := NewSender(Limits{}), NewReceiver(Limits{})
	s.NewEpoch()
	payload := make([]byte, 1400)
	now := at(0)
	sent := 0
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		for !s.Push(Batch{Payload: payload, Oldest: now}) || s.Room() == 0 {
			now = now.Add(ms / 4)
			s.Tick(now)
			if a, due := r.Ack(now); due {
				s.Ack(now, a)
			}
			for {
				epoch, number, payload, ok := s.Next(now)
				if !ok {
					break
				}
				if sent++; sent%10 != 0 {
					r.Receive(now, epoch, number, payload)
				}
			}
			if tip, due := s.Tip(); due {
				r.Tip(now, tip)
			}
		}
	}
}

// An ack that names as many gaps as it can.
func BenchmarkAckWithGaps(b *testing.B) {
	r := NewReceiver(Limits{})
	now := at(0)
	for n := uint64(2); n < 1000; n += 2 {
		r.Receive(now, 1, n, nil)
	}
	now = now.Add(gapAge)
	b.ReportAllocs()
	for b.Loop() {
		r.Tip(now, wire.Tip{Epoch: 1, Last: 1000})
		now = now.Add(ackSpacing)
		if _, due := r.Ack(now); !due {
			b.Fatal("no ack is due")
		}
	}
}
