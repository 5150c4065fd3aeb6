// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// PartType says what a part is.
type PartType uint8

// The values are those on the wire.
const (
	PartHello    PartType = 1 // opaque: what a host says of itself
	PartGreeting PartType = 2
	PartBatch    PartType = 3
	PartAck      PartType = 4
	PartTip      PartType = 5
)

// Known reports whether this version has such a part. Others are to be passed over and
// counted.
func (t PartType) Known() bool { return t >= PartHello && t <= PartTip }

// Part is a part as it lies in a body.
type Part struct {
	Type    PartType
	Content []byte
}

// MaxPart is the size of the largest part's content in bytes.
const MaxPart = math.MaxUint16

// AppendTo begins a body: to is the receiver's boot, see Opener.To.
func AppendTo(dst []byte, to uint64) []byte { return binary.BigEndian.AppendUint64(dst, to) }

// AppendPart appends a part. Content over MaxPart is an error.
func AppendPart(dst []byte, t PartType, content []byte) ([]byte, error) {
	if len(content) > MaxPart {
		return dst, fmt.Errorf("part of %d bytes is over %d", len(content), MaxPart)
	}
	return append(appendPartHeader(dst, t, len(content)), content...), nil
}

func appendPartHeader(dst []byte, t PartType, size int) []byte {
	return binary.BigEndian.AppendUint16(append(dst, byte(t), 0), uint16(size))
}

// Parts are a body's parts. It is an iterator: Next takes one off the front.
type Parts []byte

// Next returns the next part. ok is false at the end, and before a part that is cut
// off; Opener.Open lets no such through.
func (p *Parts) Next() (part Part, ok bool) {
	b := *p
	if len(b) < PartHeaderSize {
		return Part{}, false
	}
	end := PartHeaderSize + int(binary.BigEndian.Uint16(b[2:]))
	if len(b) < end {
		return Part{}, false
	}
	*p = b[end:]
	return Part{Type: PartType(b[0]), Content: b[PartHeaderSize:end:end]}, true
}

// splitBody takes a body apart and checks that its parts are whole. A body that was not
// sealed must have no parts of the stream. The error is RejectBody.
func splitBody(body []byte, sealed bool) (to uint64, parts Parts, err error) {
	if len(body) < ToSize {
		return 0, nil, RejectBody
	}
	to, parts = binary.BigEndian.Uint64(body), Parts(body[ToSize:])
	rest := parts
	for {
		part, ok := rest.Next()
		if !ok {
			break
		}
		if !sealed && part.Type.Known() && part.Type > PartGreeting {
			return 0, nil, RejectBody
		}
	}
	if len(rest) > 0 {
		return 0, nil, RejectBody
	}
	return to, parts, nil
}
