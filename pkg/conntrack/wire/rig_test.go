// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"hafast/pkg/conntrack/record"
)

// Boots and keys of the tests.
const (
	bootA = 0xa1a2a3a4a5a6a7a8
	bootB = 0xb1b2b3b4b5b6b7b8
	bootC = 0xc1c2c3c4c5c6c7c8
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func secret(fill byte) []byte { return bytes.Repeat([]byte{fill}, KeySize) }

func ring(t testing.TB, fills ...byte) *Keyring {
	t.Helper()
	var keys [][]byte
	for _, f := range fills {
		keys = append(keys, secret(f))
	}
	r, err := NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sealer(t testing.TB, r *Keyring, boot uint64) *Sealer {
	t.Helper()
	s, err := NewSealer(r, boot)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// seal makes a datagram that is addressed to a boot and has a hello.
func seal(t testing.TB, s *Sealer, to uint64) []byte {
	t.Helper()
	body, err := AppendPart(AppendTo(nil, to), PartHello, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	return sealBody(t, s, body)
}

func sealBody(t testing.TB, s *Sealer, body []byte) []byte {
	t.Helper()
	datagram, err := s.Seal(nil, body)
	if err != nil {
		t.Fatal(err)
	}
	return datagram
}

// open opens a copy, so that the datagram can be opened again.
func open(o *Opener, datagram []byte) (Opened, error) { return o.Open(epoch, slices.Clone(datagram)) }

// wantOurs expects a datagram to be accepted as addressed to the opener's host.
func wantOurs(t testing.TB, o *Opener, datagram []byte) {
	t.Helper()
	got, err := open(o, datagram)
	if err != nil {
		t.Fatalf("rejected: %v", err)
	}
	if !got.Ours {
		t.Fatalf("taken for one to another host")
	}
	if part, ok := got.Parts.Next(); !ok || part.Type != PartHello || string(part.Content) != "hello" {
		t.Fatalf("arrived as %+v", part)
	}
}

func wantReject(t testing.TB, o *Opener, datagram []byte, want Reject) {
	t.Helper()
	if got, err := open(o, datagram); !errors.Is(err, want) || got.Parts != nil || got.Boot != 0 {
		t.Fatalf("got %+v and error %v, want %s", got, err, want)
	}
}

// log is a Handler that keeps all it is told.
type log struct {
	told []any
}

type toldFlow struct {
	Op   Op
	Flow record.Flow
}

type toldEntry struct {
	Op    Op
	Entry record.Entry
}

func (l *log) Flow(op Op, f record.Flow)    { l.told = append(l.told, toldFlow{op, f}) }
func (l *log) Entry(op Op, e *record.Entry) { l.told = append(l.told, toldEntry{op, *e}) }
func (l *log) Begin(b Begin)                { l.told = append(l.told, b) }
func (l *log) End(e End)                    { l.told = append(l.told, e) }

// write writes one of the things that a log keeps.
func write(w *BatchWriter, told any) bool {
	switch v := told.(type) {
	case toldFlow:
		return w.Flow(v.Op, v.Flow)
	case toldEntry:
		return w.Entry(v.Op, &v.Entry)
	case Begin:
		return w.Begin(v)
	case End:
		return w.End(v)
	}
	panic("not a record")
}

// rawGroup makes a group.
func rawGroup(kind byte, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kind, 0}, uint16(len(body)))
	return append(b, body...)
}
