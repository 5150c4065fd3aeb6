// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	greetingSize = 16
	tipSize      = 12
	ackSize      = 13 // without ranges
	rangeSize    = 16
	// MaxRanges is how many gaps an Ack can name.
	MaxRanges = 64
)

// AppendGreeting appends a Greeting as a part:
//
//	0   1  Lowest     1  1  Highest     2  1  Tables     3  1  0
//	4   8  Config
//	12  4  Want
func AppendGreeting(dst []byte, g Greeting) []byte {
	dst = appendPartHeader(dst, PartGreeting, greetingSize)
	dst = append(dst, g.Lowest, g.Highest, g.Tables, 0)
	dst = binary.BigEndian.AppendUint64(dst, g.Config)
	return binary.BigEndian.AppendUint32(dst, g.Want)
}

// DecodeGreeting reads a Greeting. One that is longer is of a later version, which may
// append fields. The error wraps RejectBody.
func DecodeGreeting(content []byte) (Greeting, error) {
	if len(content) < greetingSize {
		return Greeting{}, fmt.Errorf("greeting of %d bytes: %w", len(content), RejectBody)
	}
	g := Greeting{
		Lowest: content[0], Highest: content[1], Tables: content[2],
		Config: binary.BigEndian.Uint64(content[4:]),
		Want:   binary.BigEndian.Uint32(content[12:]),
	}
	if g.Lowest == 0 || g.Lowest > g.Highest {
		return Greeting{}, fmt.Errorf("greeting with versions %d-%d: %w", g.Lowest, g.Highest, RejectBody)
	}
	return g, nil
}

// Agree returns the version of parts and records that two hosts use: the lower of both
// Highest. ok is false if one of them does not understand it any more.
func (g Greeting) Agree(other Greeting) (version uint8, ok bool) {
	version = min(g.Highest, other.Highest)
	return version, version >= max(g.Lowest, other.Lowest)
}

// Has reports whether a table is among those replicated.
func (g Greeting) Has(t Table) bool { return g.Tables&(1<<t) != 0 }

// AckSize returns how many bytes of a body an Ack with so many ranges takes.
func AckSize(ranges int) int { return PartHeaderSize + ackSize + min(ranges, MaxRanges)*rangeSize }

// TipSize is how many bytes of a body a Tip takes.
const TipSize = PartHeaderSize + tipSize

// GreetingSize is how many bytes of a body a Greeting takes.
const GreetingSize = PartHeaderSize + greetingSize

// AppendAck appends an Ack as a part. Of Missing, whose ranges are in ascending order
// and apart, the first MaxRanges go:
//
//	0   4  Epoch
//	4   8  Next
//	12  1  how many ranges, then for each: From (8), To (8)
func AppendAck(dst []byte, a Ack) []byte {
	missing := a.Missing[:min(len(a.Missing), MaxRanges)]
	dst = appendPartHeader(dst, PartAck, ackSize+len(missing)*rangeSize)
	dst = binary.BigEndian.AppendUint32(dst, a.Epoch)
	dst = binary.BigEndian.AppendUint64(dst, a.Next)
	dst = append(dst, byte(len(missing)))
	for _, r := range missing {
		dst = binary.BigEndian.AppendUint64(dst, r.From)
		dst = binary.BigEndian.AppendUint64(dst, r.To)
	}
	return dst
}

// DecodeAck reads an Ack into a, using the memory of its Missing again. The ranges are
// then in ascending order, apart, and none is below Next. The error wraps RejectBody.
func DecodeAck(content []byte, a *Ack) error {
	if len(content) < ackSize {
		return fmt.Errorf("ack of %d bytes: %w", len(content), RejectBody)
	}
	n := int(content[12])
	if n > MaxRanges || len(content) != ackSize+n*rangeSize {
		return fmt.Errorf("ack of %d bytes with %d ranges: %w", len(content), n, RejectBody)
	}
	a.Epoch = binary.BigEndian.Uint32(content)
	a.Next = binary.BigEndian.Uint64(content[4:])
	a.Missing = slices.Grow(a.Missing[:0], n)
	lowest := a.Next
	for b := content[ackSize:]; len(b) > 0; b = b[rangeSize:] {
		r := Range{From: binary.BigEndian.Uint64(b), To: binary.BigEndian.Uint64(b[8:])}
		if r.From < lowest || r.To < r.From || r.To == maxNumber {
			return fmt.Errorf("ack with range %d-%d out of order: %w", r.From, r.To, RejectBody)
		}
		a.Missing = append(a.Missing, r)
		lowest = r.To + 1
	}
	return nil
}

// AppendTip appends a Tip as a part: Epoch (4), Last (8).
func AppendTip(dst []byte, t Tip) []byte {
	dst = appendPartHeader(dst, PartTip, tipSize)
	dst = binary.BigEndian.AppendUint32(dst, t.Epoch)
	return binary.BigEndian.AppendUint64(dst, t.Last)
}

// DecodeTip reads a Tip. The error wraps RejectBody.
func DecodeTip(content []byte) (Tip, error) {
	if len(content) != tipSize {
		return Tip{}, fmt.Errorf("tip of %d bytes: %w", len(content), RejectBody)
	}
	return Tip{Epoch: binary.BigEndian.Uint32(content), Last: binary.BigEndian.Uint64(content[4:])}, nil
}
