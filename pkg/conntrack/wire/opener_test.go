// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSealAndOpen(t *testing.T) {
	for name, keys := range map[string][]byte{"sealed": {1}, "not sealed": nil} {
		t.Run(name, func(t *testing.T) {
			a := sealer(t, ring(t, keys...), bootA)
			o := NewOpener(ring(t, keys...), bootB)
			for range 3 {
				wantOurs(t, o, seal(t, a, bootB))
			}
			if o.Live() != bootA || o.To() != bootA {
				t.Errorf("live %x, to %x, want %x", o.Live(), o.To(), uint64(bootA))
			}
		})
	}
}

// TestEveryTruncationIsRejected: and the whole datagram is still good afterwards, so
// that no forged one has used its counter up.
func TestEveryTruncationIsRejected(t *testing.T) {
	a, o := sealer(t, ring(t, 1), bootA), NewOpener(ring(t, 1), bootB)
	wantOurs(t, o, seal(t, a, bootB))
	datagram := seal(t, a, bootB)
	for n := range datagram {
		want := RejectAuth
		if n < HeaderSize+TagSize {
			want = RejectShort
		}
		wantReject(t, o, datagram[:n], want)
	}
	wantReject(t, o, append(slices.Clone(datagram), 0), RejectAuth)
	wantOurs(t, o, datagram)
}

func TestEveryBitFlipIsRejected(t *testing.T) {
	a, o := sealer(t, ring(t, 1), bootA), NewOpener(ring(t, 1), bootB)
	wantOurs(t, o, seal(t, a, bootB))
	datagram := seal(t, a, bootB)
	now := epoch
	for bit := range len(datagram) * 8 {
		flipped := slices.Clone(datagram)
		flipped[bit/8] ^= 1 << (bit % 8)
		now = now.Add(time.Second) // or the limit would hide what is tested
		if got, err := o.Open(now, flipped); err == nil || got.Parts != nil {
			t.Errorf("byte %d, bit %d: got %+v and error %v", bit/8, bit%8, got, err)
		}
	}
	if o.Live() != bootA {
		t.Errorf("live is %x", o.Live())
	}
	wantOurs(t, o, datagram)
}

func TestHeaderRejects(t *testing.T) {
	good := func(keys ...byte) []byte { return seal(t, sealer(t, ring(t, keys...), bootA), bootB) }
	with := func(b []byte, at int, values ...byte) []byte {
		copy(b[at:], values)
		return b
	}
	zeros := make([]byte, 8)
	for name, c := range map[string]struct {
		datagram []byte
		keys     []byte
		want     Reject
	}{
		"empty":                 {nil, []byte{1}, RejectShort},
		"header cut off":        {good(1)[:HeaderSize-1], []byte{1}, RejectShort},
		"tag cut off":           {good(1)[:HeaderSize+TagSize-1], []byte{1}, RejectShort},
		"interim hello":         {with(good(1), 0, []byte("hafP")...), []byte{1}, RejectMagic},
		"next format":           {with(good(1), atVersion, FormatVersion+1), []byte{1}, RejectVersion},
		"next format, unsealed": {with(good(), atVersion, FormatVersion+1), nil, RejectVersion},
		"boot 0":                {with(good(1), atBoot, zeros...), []byte{1}, RejectHeader},
		"counter 0":             {with(good(1), atCounter, zeros...), []byte{1}, RejectHeader},
		"counter beyond last":   {with(good(1), atCounter, 0x80, 0, 0, 0, 0, 0, 0, 1), []byte{1}, RejectHeader},
		"unsealed to sealed":    {good(), []byte{1}, RejectUnsealed},
		"sealed to unsealed":    {good(1), nil, RejectSealed},
		"other key":             {good(2), []byte{1}, RejectKey},
		"other key, same id":    {with(good(2), atKey, good(1)[atKey:atBoot]...), []byte{1}, RejectAuth},
		"own":                   {with(good(1), atBoot, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8), []byte{1}, RejectOwn},
		"other boot":            {with(good(1), atBoot, 1), []byte{1}, RejectAuth},
		"unsealed, empty body":  {good()[:HeaderSize], nil, RejectBody},
	} {
		t.Run(name, func(t *testing.T) {
			o := NewOpener(ring(t, c.keys...), bootB)
			wantReject(t, o, c.datagram, c.want)
			if o.To() != 0 {
				t.Errorf("%x counts as heard", o.To())
			}
		})
	}
}

func TestBodyRejects(t *testing.T) {
	to := AppendTo(nil, bootB)
	batch := AppendBatch(slices.Clone(to), Batch{Epoch: 1, Number: 1})
	for name, c := range map[string]struct {
		body []byte
		keys []byte
		want error
	}{
		"no to":             {to[:7], []byte{1}, RejectBody},
		"no part":           {to, []byte{1}, nil},
		"half a header":     {append(slices.Clone(to), 1, 0, 0), []byte{1}, RejectBody},
		"part cut off":      {append(slices.Clone(to), 1, 0, 0, 1), []byte{1}, RejectBody},
		"second cut off":    {append(slices.Clone(to), 1, 0, 0, 0, 1), []byte{1}, RejectBody},
		"unknown part":      {append(slices.Clone(to), 77, 0, 0, 1, 9), []byte{1}, nil},
		"reserved is set":   {append(slices.Clone(to), 1, 9, 0, 1, 9), []byte{1}, nil},
		"batch":             {batch, []byte{1}, nil},
		"batch, not sealed": {batch, nil, RejectBody},
		"ack, not sealed":   {AppendAck(slices.Clone(to), Ack{}), nil, RejectBody},
		"tip, not sealed":   {AppendTip(slices.Clone(to), Tip{}), nil, RejectBody},
		"greeting":          {AppendGreeting(slices.Clone(to), Greeting{}), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, o := sealer(t, ring(t, c.keys...), bootA), NewOpener(ring(t, c.keys...), bootB)
			if _, err := open(o, sealBody(t, a, c.body)); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if c.want != nil && o.Live() != 0 {
				t.Error("a rejected datagram has made its boot the live one")
			}
		})
	}
}

func TestReplay(t *testing.T) {
	keys := ring(t, 1)
	a, o := sealer(t, keys, bootA), NewOpener(keys, bootB)
	var sent [][]byte
	for range WindowSize + 2 {
		sent = append(sent, seal(t, a, bootB))
	}
	last := len(sent) - 1
	wantOurs(t, o, sent[last])
	wantReject(t, o, sent[last], RejectReplay)
	wantReject(t, o, sent[0], RejectReplay)
	wantReject(t, o, sent[1], RejectReplay)
	wantOurs(t, o, sent[2])
	wantReject(t, o, sent[2], RejectReplay)
	wantOurs(t, o, sent[last-1])

	// A forged datagram far ahead must not push the window on.
	forged := slices.Clone(sent[3])
	binary.BigEndian.PutUint64(forged[atCounter:], maxCounter)
	wantReject(t, o, forged, RejectAuth)
	wantOurs(t, o, sent[3])
}

// TestWindow holds the window against a set of all counters that have come.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		come := map[uint64]bool{}
		highest := uint64(0)
		for range rapid.IntRange(1, 300).Draw(t, "datagrams") {
			var counter uint64
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0: // the next one
				counter = highest + 1
			case 1: // a little ahead
				counter = highest + rapid.Uint64Range(1, 200).Draw(t, "ahead")
			case 2: // about a window ahead
				counter = highest + rapid.Uint64Range(WindowSize-100, WindowSize+100).Draw(t, "ahead")
			default:
				counter = highest - min(highest, rapid.Uint64Range(0, WindowSize+100).Draw(t, "behind"))
			}
			want := !come[counter] && counter+WindowSize > highest
			if got := w.fresh(counter); got != want {
				t.Fatalf("%d is fresh: %t, want %t (highest %d)", counter, got, want, highest)
			}
			if want {
				w.note(counter)
				come[counter] = true
				highest = max(highest, counter)
			}
		}
	})
}

// TestReplayAcrossKeys: a counter that came under one key is used up under the other.
func TestReplayAcrossKeys(t *testing.T) {
	both := ring(t, 1, 2)
	o := NewOpener(both, bootB)
	wantOurs(t, o, seal(t, sealer(t, ring(t, 1), bootA), bootB))
	wantReject(t, o, seal(t, sealer(t, ring(t, 2), bootA), bootB), RejectReplay)
}

// TestUnknownBootsAreLimited: whoever sends datagrams of random boots makes this host
// derive so many keys a second and no more, and does not disturb the live boot.
func TestUnknownBootsAreLimited(t *testing.T) {
	keys := ring(t, 1, 2)
	a, o := sealer(t, keys, bootA), NewOpener(keys, bootB)
	wantOurs(t, o, seal(t, a, bootB))
	now := epoch.Add(time.Second)
	forged := seal(t, sealer(t, keys, bootC), bootB)
	counts := map[error]int{}
	for i := range 1000 {
		d := slices.Clone(forged)
		binary.BigEndian.PutUint64(d[atBoot:], uint64(i+1))
		_, err := o.Open(now, d)
		counts[err]++
	}
	if counts[RejectAuth] != derivations || counts[RejectLimit] != 1000-derivations {
		t.Errorf("of 1000 forged datagrams: %v", counts)
	}
	// The live boot is not limited, with the other key neither.
	if err := a.Rekey(ring(t, 2)); err != nil {
		t.Fatal(err)
	}
	if got, err := o.Open(now, seal(t, a, bootB)); err != nil || !got.Ours {
		t.Errorf("live boot: %+v, %v", got, err)
	}
	if _, err := o.Open(now, slices.Clone(forged)); !errors.Is(err, RejectLimit) {
		t.Errorf("new boot in the same second: %v", err)
	}
	if _, err := o.Open(now.Add(time.Second), forged); err != nil {
		t.Errorf("new boot a second later: %v", err)
	}
}

func TestCountersAreNeverUsedTwice(t *testing.T) {
	s := sealer(t, ring(t, 1), bootA)
	for want := uint64(1); want < 100; want++ {
		if want == 50 {
			if err := s.Rekey(ring(t, 2)); err != nil {
				t.Fatal(err)
			}
		}
		if got := binary.BigEndian.Uint64(seal(t, s, bootB)[atCounter:]); got != want {
			t.Fatalf("counter %d, want %d", got, want)
		}
	}
	s.counter = maxCounter - 1
	wantOurs(t, NewOpener(ring(t, 2), bootB), seal(t, s, bootB))
	for range 2 {
		if d, err := s.Seal([]byte("before"), AppendTo(nil, bootB)); !errors.Is(err, ErrSpent) || string(d) != "before" {
			t.Errorf("%q, %v", d, err)
		}
	}
}

func TestKeyringRefuses(t *testing.T) {
	for name, keys := range map[string][][]byte{
		"short":    {secret(1)[:31]},
		"long":     {append(secret(1), 1)},
		"the same": {secret(1), secret(1)},
		"three":    {secret(1), secret(2), secret(3)},
	} {
		if _, err := NewKeyring(keys...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewSealer(ring(t, 1), 0); err == nil {
		t.Error("boot 0 is accepted")
	}
	if text := fmt.Sprint(ring(t, 1)); text != "1 keys" {
		t.Errorf("a keyring prints as %q", text)
	}
}

// TestNoGarbage: in steady state a datagram costs no memory on either side.
func TestNoGarbage(t *testing.T) {
	keys := ring(t, 1)
	a, o := sealer(t, keys, bootA), NewOpener(keys, bootB)
	body := append(AppendTo(nil, bootB), make([]byte, 1200)...)
	for i := ToSize; i < len(body); i += PartHeaderSize {
		copy(body[i:], []byte{200, 0, 0, 0})
	}
	buf := make([]byte, 0, 2000)
	run := func() {
		datagram, err := a.Seal(buf[:0], body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.Open(epoch, datagram)
		if err != nil || !got.Ours {
			t.Fatalf("%+v, %v", got, err)
		}
		for n := 0; ; n++ {
			if _, ok := got.Parts.Next(); !ok {
				break
			}
		}
		if _, err := o.Open(epoch, datagram); !errors.Is(err, RejectReplay) {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
