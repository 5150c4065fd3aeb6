// SPDX-License-Identifier: Apache-2.0

package nlmsg

import (
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// Builder writes messages one behind the other into one buffer:
//
//	b.Begin(unix.RTM_NEWADDR, unix.NLM_F_REQUEST, seq, header...)
//	b.Attr(unix.IFA_LOCAL, addr)
//	b.End()
//
// The zero Builder is ready; after Reset it uses its buffer again.
type Builder struct {
	buf []byte
	// start is where the message begun last has its header.
	start int
}

// Reset forgets all messages and keeps the buffer.
func (b *Builder) Reset() { b.buf, b.start = b.buf[:0], 0 }

// Bytes are the messages so far: valid until the next change, and whole if all that
// was begun has been ended.
func (b *Builder) Bytes() []byte { return b.buf }

// Len is the length of Bytes.
func (b *Builder) Len() int { return len(b.buf) }

// Begin starts a message: type, flags (unix.NLM_F_*), a number that its answers
// carry, and the header of the protocol. The sender's port is left to the kernel.
func (b *Builder) Begin(typ, flags uint16, seq uint32, header ...byte) {
	b.start = len(b.buf)
	b.buf = binary.NativeEndian.AppendUint32(b.buf, 0) // End knows the length
	b.buf = binary.NativeEndian.AppendUint16(b.buf, typ)
	b.buf = binary.NativeEndian.AppendUint16(b.buf, flags)
	b.buf = binary.NativeEndian.AppendUint32(b.buf, seq)
	b.buf = binary.NativeEndian.AppendUint32(b.buf, 0)
	b.buf = append(b.buf, header...)
	b.pad()
}

// End completes the message.
func (b *Builder) End() {
	binary.NativeEndian.PutUint32(b.buf[b.start:], uint32(len(b.buf)-b.start))
}

// AddFlags sets further flags of the message begun last, ended or not. Without one
// it panics.
func (b *Builder) AddFlags(flags uint16) {
	at := b.buf[b.start+6:]
	binary.NativeEndian.PutUint16(at, binary.NativeEndian.Uint16(at)|flags)
}

// Attr appends an attribute. It panics if header and value exceed 65535 bytes, the
// reach of an attribute's length.
func (b *Builder) Attr(typ uint16, value []byte) {
	b.begin(typ, len(value))
	b.buf = append(b.buf, value...)
	b.pad()
}

// Text appends an attribute that is a string, with the zero that ends it. See Attr.
func (b *Builder) Text(typ uint16, value string) {
	b.begin(typ, len(value)+1)
	b.buf = append(b.buf, value...)
	b.buf = append(b.buf, 0)
	b.pad()
}

// Uint8 appends an attribute of one byte.
func (b *Builder) Uint8(typ uint16, value uint8) {
	b.begin(typ, 1)
	b.buf = append(b.buf, value, 0, 0, 0)
}

// Uint32 appends a number in host order, as most protocols have them.
func (b *Builder) Uint32(typ uint16, value uint32) {
	b.begin(typ, 4)
	b.buf = binary.NativeEndian.AppendUint32(b.buf, value)
}

// Uint16BE appends a number in network order, as netfilter has them.
func (b *Builder) Uint16BE(typ, value uint16) {
	b.begin(typ, 2)
	b.buf = binary.BigEndian.AppendUint16(b.buf, value)
	b.buf = append(b.buf, 0, 0)
}

// Uint32BE appends a number in network order, as netfilter has them.
func (b *Builder) Uint32BE(typ uint16, value uint32) {
	b.begin(typ, 4)
	b.buf = binary.BigEndian.AppendUint32(b.buf, value)
}

// Nest begins an attribute of which all attributes up to EndNest are the value. Its
// type gets NLA_F_NESTED. The result is for EndNest; nests may hold nests.
func (b *Builder) Nest(typ uint16) (nest int) {
	nest = len(b.buf)
	b.begin(typ|unix.NLA_F_NESTED, 0)
	return nest
}

// EndNest completes a nest. It panics if that exceeds 65535 bytes.
func (b *Builder) EndNest(nest int) {
	binary.NativeEndian.PutUint16(b.buf[nest:], attrLen(len(b.buf)-nest))
}

// begin appends an attribute's header.
func (b *Builder) begin(typ uint16, valueLen int) {
	b.buf = binary.NativeEndian.AppendUint16(b.buf, attrLen(unix.NLA_HDRLEN+valueLen))
	b.buf = binary.NativeEndian.AppendUint16(b.buf, typ)
}

// attrLen is a length as an attribute has it. One that does not fit would make the
// kernel read values as attributes.
func attrLen(n int) uint16 {
	if n > math.MaxUint16 {
		panic(fmt.Sprintf("netlink attribute of %d bytes", n))
	}
	return uint16(n)
}

// pad fills up to where the next attribute begins.
func (b *Builder) pad() {
	for len(b.buf)%unix.NLMSG_ALIGNTO != 0 {
		b.buf = append(b.buf, 0)
	}
}
