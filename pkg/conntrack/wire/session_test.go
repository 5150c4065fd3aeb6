// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestSessionBegins is the first exchange of two hosts that have just started: neither
// counts what is not addressed to it.
func TestSessionBegins(t *testing.T) {
	keys := ring(t, 1)
	a, b := sealer(t, keys, bootA), sealer(t, keys, bootB)
	atA, atB := NewOpener(keys, bootA), NewOpener(keys, bootB)
	got, err := open(atB, seal(t, a, atA.To()))
	if err != nil || got.Ours || got.Boot != bootA {
		t.Fatalf("first hello: %+v, %v", got, err)
	}
	if atB.Live() != 0 || atB.To() != bootA {
		t.Fatalf("after the first hello live is %x, to %x", atB.Live(), atB.To())
	}
	wantOurs(t, atA, seal(t, b, atB.To()))
	wantOurs(t, atB, seal(t, a, atA.To()))
	if atA.Live() != bootB || atB.Live() != bootA {
		t.Errorf("live are %x and %x", atA.Live(), atB.Live())
	}
}

// TestRestartOfPeer: the new boot takes over once it has proved to be live; then
// nothing of the former one is accepted.
func TestRestartOfPeer(t *testing.T) {
	keys := ring(t, 1)
	o := NewOpener(keys, bootB)
	before := sealer(t, keys, bootA)
	wantOurs(t, o, seal(t, before, bootB))
	late := seal(t, before, bootB)

	after := sealer(t, keys, bootC)
	got, err := open(o, seal(t, after, 0))
	if err != nil || got.Ours || got.Boot != bootC {
		t.Fatalf("first hello: %+v, %v", got, err)
	}
	if o.Live() != bootA || o.To() != bootA {
		t.Fatalf("a boot that has proved nothing has replaced the live one: live %x, to %x", o.Live(), o.To())
	}
	wantOurs(t, o, seal(t, before, bootB))
	wantOurs(t, o, seal(t, after, bootB))
	if o.Live() != bootC {
		t.Fatalf("live is %x", o.Live())
	}
	wantReject(t, o, late, RejectOldBoot)
}

// TestRecordingOfFormerBoot: somebody plays what a peer said before this host started.
// It is authentic, but retires nobody.
func TestRecordingOfFormerBoot(t *testing.T) {
	keys := ring(t, 1)
	former := sealer(t, keys, bootC)
	var recording [][]byte
	for range 20 {
		recording = append(recording, seal(t, former, bootB-1))
	}
	o, a := NewOpener(keys, bootB), sealer(t, keys, bootA)
	for _, d := range recording {
		got, err := open(o, d)
		if err != nil || got.Ours {
			t.Fatalf("%+v, %v", got, err)
		}
		wantReject(t, o, d, RejectReplay)
		wantOurs(t, o, seal(t, a, bootB))
		if o.Live() != bootA || o.To() != bootA {
			t.Fatalf("live %x, to %x", o.Live(), o.To())
		}
	}
}

// TestToAnotherHost: all hosts share the key, so a datagram to one of them may be sent
// on to another.
func TestToAnotherHost(t *testing.T) {
	keys := ring(t, 1)
	a, atC := sealer(t, keys, bootA), NewOpener(keys, bootC)
	wantOurs(t, atC, seal(t, a, bootC))
	got, err := open(atC, seal(t, a, bootB))
	if err != nil || got.Ours {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOldBootsAreRemembered(t *testing.T) {
	keys := ring(t, 1)
	o := NewOpener(keys, bootB)
	now := epoch
	var kept [][]byte
	for boot := range uint64(retiredBoots + 1) {
		s := sealer(t, keys, boot+1)
		now = now.Add(time.Second)
		if _, err := o.Open(now, seal(t, s, bootB)); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, seal(t, s, bootB))
	}
	for i, d := range kept[:retiredBoots] {
		if _, err := o.Open(now, slices.Clone(d)); !errors.Is(err, RejectOldBoot) {
			t.Errorf("boot %d: %v", i+1, err)
		}
	}
	wantOurs(t, o, kept[retiredBoots])
}

// TestRotation is a change of keys while both hosts talk: the new key is added
// everywhere, then put first everywhere, then the old one is taken out.
func TestRotation(t *testing.T) {
	const former, next = 1, 2
	start := ring(t, former)
	a, b := sealer(t, start, bootA), sealer(t, start, bootB)
	atA, atB := NewOpener(start, bootA), NewOpener(start, bootB)
	talk := func(step string) {
		t.Helper()
		for range 3 {
			for _, way := range []struct {
				from *Sealer
				at   *Opener
				to   uint64
			}{{a, atB, bootB}, {b, atA, bootA}} {
				got, err := open(way.at, seal(t, way.from, way.to))
				if err != nil || !got.Ours {
					t.Fatalf("%s: to %x: %+v, %v", step, way.to, got, err)
				}
			}
		}
	}
	rekey := func(s *Sealer, o *Opener, keys ...byte) {
		t.Helper()
		if err := s.Rekey(ring(t, keys...)); err != nil {
			t.Fatal(err)
		}
		o.Rekey(ring(t, keys...))
	}
	talk("before")
	kept := seal(t, a, bootB)
	for _, keys := range [][]byte{{former, next}, {next, former}, {next}} {
		rekey(a, atA, keys...)
		talk(fmt.Sprintf("a has %v", keys))
		rekey(b, atB, keys...)
		talk(fmt.Sprintf("both have %v", keys))
	}
	wantReject(t, atB, kept, RejectKey)
	if a.counter != 3*7+1 || atB.Live() != bootA || atA.Live() != bootB {
		t.Errorf("the session did not go on: counter %d, live %x and %x", a.counter, atB.Live(), atA.Live())
	}
}
