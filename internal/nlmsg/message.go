// SPDX-License-Identifier: Apache-2.0

package nlmsg

import (
	"encoding/binary"
	"iter"

	"golang.org/x/sys/unix"
)

// Message is one received message.
type Message struct {
	Type, Flags uint16 // unix.NLMSG_* or the protocol's own; unix.NLM_F_*
	// Seq is the number of the request that this answers; 0 for an event.
	Seq uint32
	// Port is the netlink port of who asked for this, or caused it if it is an
	// event; 0 if that was the kernel.
	Port uint32
	// Data is what follows the header: the protocol's own header, then attributes.
	Data []byte
}

// Messages are those of a datagram.
func Messages(datagram []byte) iter.Seq[Message] {
	return func(yield func(Message) bool) { eachMessage(datagram, yield) }
}

// The walks are not inlined: of loops in loops whose walks are, the compiler (Go
// 1.26) puts the bodies on the heap.
//
//go:noinline
func eachMessage(rest []byte, yield func(Message) bool) {
	for len(rest) >= unix.SizeofNlMsghdr {
		n := int(binary.NativeEndian.Uint32(rest))
		if n < unix.SizeofNlMsghdr || n > len(rest) {
			return
		}
		m := Message{
			Type:  binary.NativeEndian.Uint16(rest[4:]),
			Flags: binary.NativeEndian.Uint16(rest[6:]),
			Seq:   binary.NativeEndian.Uint32(rest[8:]),
			Port:  binary.NativeEndian.Uint32(rest[12:]),
			Data:  rest[unix.SizeofNlMsghdr:n:n],
		}
		if !yield(m) {
			return
		}
		rest = rest[min(Align(n), len(rest)):]
	}
}

// Errno is how a request went, of an NLMSG_ERROR or NLMSG_DONE: nil, or a
// unix.Errno. It is unix.EBADMSG of a message that is too short to say.
func (m Message) Errno() error {
	if len(m.Data) < 4 {
		return unix.EBADMSG
	}
	if code := int32(binary.NativeEndian.Uint32(m.Data)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// Attrs are the attributes in b, which begins with the first of them: type without
// the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER, and value without the padding. The
// value of a nest is attributes again.
func Attrs(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) { eachAttr(b, yield) }
}

//go:noinline
func eachAttr(rest []byte, yield func(uint16, []byte) bool) {
	for len(rest) >= unix.NLA_HDRLEN {
		n := int(binary.NativeEndian.Uint16(rest))
		if n < unix.NLA_HDRLEN || n > len(rest) {
			return
		}
		typ := binary.NativeEndian.Uint16(rest[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if !yield(typ, rest[unix.NLA_HDRLEN:n:n]) {
			return
		}
		rest = rest[min(Align(n), len(rest)):]
	}
}

// Align rounds a length up to where the next message or attribute begins, a
// multiple of 4 bytes.
func Align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
