// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"encoding/binary"
	"slices"
	"time"

	"hafast/pkg/conntrack/stream/simnet"
	"hafast/pkg/conntrack/wire"
)

// Kinds of datagrams between hosts.
const (
	hello = 'h'
	batch = 'b'
	ack   = 'a'
	tip   = 't'
)

const helloInterval = 50 * time.Millisecond

// source is what a host has to tell in each epoch.
type source struct {
	batches int
	size    int           // bytes of each
	every   time.Duration // one becomes known each; 0: all are known from the start
	greedy  bool          // push as much as the sender takes, not only what leaves at once
}

// host is a daemon that tells a peer its source and hears the peer's. It has as much of
// the session's protocol as streams need: each datagram has the boots of both.
type host struct {
	t        checker
	net      *simnet.Net
	id, peer int
	boot     uint64
	peerBoot uint64 // 0: none heard
	out      *Sender
	in       *Receiver
	source   source

	began   time.Time // of the epoch
	pushed  int       // of the source, in this epoch
	epoch   uint32    // of what was got
	got     int
	lags    []time.Duration
	helloAt time.Time
	buffer  []byte
}

// start puts a new daemon in a host's place.
func start(t checker, net *simnet.Net, id, peer int, boot uint64, s source) *host {
	h := &host{
		t: t, net: net, id: id, peer: peer, boot: boot, source: s,
		out: NewSender(Limits{}), in: NewReceiver(Limits{}), helloAt: net.Now(),
	}
	net.Attach(id, h)
	return h
}

// pair starts two hosts; the first has the source.
func pair(t checker, net *simnet.Net, s source) (sender, receiver *host) {
	return start(t, net, 0, 1, 1, s), start(t, net, 1, 0, 1, source{})
}

func (h *host) Receive(now time.Time, from int, d []byte) {
	boot, to := binary.BigEndian.Uint64(d), binary.BigEndian.Uint64(d[8:])
	switch {
	case boot < h.peerBoot:
		return
	case boot > h.peerBoot:
		h.peerBoot = boot
		h.in, h.epoch, h.got = NewReceiver(h.in.limits), 0, 0
		h.renew(now)
		h.send(hello)
	}
	if to == h.boot {
		h.part(now, d[16], d[17:])
	}
	h.flush(now)
}

// renew begins an epoch.
func (h *host) renew(now time.Time) {
	h.out.NewEpoch()
	h.began, h.pushed = now, 0
}

func (h *host) part(now time.Time, kind byte, d []byte) {
	switch kind {
	case batch:
		got := h.in.Receive(now, binary.BigEndian.Uint32(d), binary.BigEndian.Uint64(d[4:]), d[12:])
		h.follow()
		for _, payload := range got {
			if n := binary.BigEndian.Uint64(payload); n != uint64(h.got) {
				h.t.Fatalf("%v: host %d got payload %d in the place of %d of epoch %d",
					now.Sub(simnet.Epoch), h.id, n, h.got, h.epoch)
			}
			h.got++
		}
	case tip:
		h.in.Tip(now, wire.Tip{Epoch: binary.BigEndian.Uint32(d), Last: binary.BigEndian.Uint64(d[4:])})
		h.follow()
	case ack:
		a := wire.Ack{Epoch: binary.BigEndian.Uint32(d), Next: binary.BigEndian.Uint64(d[4:])}
		for d = d[12:]; len(d) > 0; d = d[16:] {
			a.Missing = append(a.Missing, wire.Range{From: binary.BigEndian.Uint64(d), To: binary.BigEndian.Uint64(d[8:])})
		}
		h.lags = append(h.lags, h.out.Ack(now, a)...)
	}
}

// follow begins anew when the peer has.
func (h *host) follow() {
	if e := h.in.Epoch(); e != h.epoch {
		h.epoch, h.got = e, 0
	}
}

func (h *host) Deadline() time.Time {
	at := h.helloAt
	due := []time.Time{h.out.Deadline(), h.in.Deadline()}
	if next := h.known(h.pushed); h.pushed < h.source.batches && next.After(h.net.Now()) {
		due = append(due, next)
	}
	for _, d := range due {
		if !d.IsZero() && d.Before(at) {
			at = d
		}
	}
	return at
}

func (h *host) Tick(now time.Time) {
	if !now.Before(h.helloAt) {
		h.helloAt = now.Add(helloInterval)
		h.send(hello)
	}
	h.out.Tick(now)
	h.flush(now)
}

// known is when a part of the source becomes known.
func (h *host) known(i int) time.Time { return h.began.Add(time.Duration(i) * h.source.every) }

func (h *host) flush(now time.Time) {
	for h.pushed < h.source.batches && !h.known(h.pushed).After(now) && (h.source.greedy || h.out.Room() > 0) {
		payload := make([]byte, max(8, h.source.size))
		binary.BigEndian.PutUint64(payload, uint64(h.pushed))
		if !h.out.Push(Batch{Payload: payload, Oldest: h.known(h.pushed), Changes: 1}) {
			break
		}
		h.pushed++
	}
	for {
		epoch, number, payload, ok := h.out.Next(now)
		if !ok {
			break
		}
		h.send(batch, epoch, number, payload)
	}
	if t, due := h.out.Tip(); due {
		h.send(tip, t.Epoch, t.Last)
	}
	if a, due := h.in.Ack(now); due {
		fields := []any{a.Epoch, a.Next}
		for _, r := range a.Missing {
			fields = append(fields, r.From, r.To)
		}
		h.send(ack, fields...)
	}
}

func (h *host) send(kind byte, fields ...any) {
	b := binary.BigEndian.AppendUint64(h.buffer[:0], h.boot)
	b = binary.BigEndian.AppendUint64(b, h.peerBoot)
	b = append(b, kind)
	for _, f := range fields {
		switch f := f.(type) {
		case uint32:
			b = binary.BigEndian.AppendUint32(b, f)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, f)
		case []byte:
			b = append(b, f...)
		}
	}
	h.buffer = b
	h.net.Send(h.id, h.peer, b)
}

// told reports whether the peer has got all of the source, and this host knows it.
func (h *host) told(peer *host) bool {
	return h.pushed == h.source.batches && peer.epoch == h.out.Epoch() && peer.got == h.source.batches &&
		h.out.Figures().UnderWay == 0
}

// deliver lets the time pass until the source has arrived.
func deliver(t checker, net *simnet.Net, limit time.Duration, from, to *host) time.Duration {
	t.Helper()
	began := net.Now()
	if !net.RunUntil(limit, func() bool { return from.told(to) }) {
		t.Fatalf("after %v %d of %d batches have arrived (pushed %d); sender %+v, receiver %+v, network %+v",
			limit, to.got, from.source.batches, from.pushed, from.out.Figures(), to.in.Figures(), net.Counts())
	}
	return net.Now().Sub(began)
}

func percentile(lags []time.Duration, p float64) time.Duration {
	sorted := slices.Sorted(slices.Values(lags))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
