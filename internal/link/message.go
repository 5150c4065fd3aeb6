package link

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// message is one netlink message under construction. Attributes are appended in
// place; finish writes the length.
type message []byte

// newMessage starts a message of the given type with a fixed family header.
func newMessage(typ, flags uint16, header []byte) message {
	m := make(message, unix.SizeofNlMsghdr, 128)
	binary.NativeEndian.PutUint16(m[4:], typ)
	binary.NativeEndian.PutUint16(m[6:], flags|unix.NLM_F_REQUEST)
	return append(m, header...)
}

// attr appends one attribute, padded to four bytes.
func (m *message) attr(typ uint16, value []byte) {
	*m = binary.NativeEndian.AppendUint16(*m, uint16(unix.SizeofRtAttr+len(value)))
	*m = binary.NativeEndian.AppendUint16(*m, typ)
	*m = append(*m, value...)
	for len(*m)%unix.NLMSG_ALIGNTO != 0 {
		*m = append(*m, 0)
	}
}

// text appends a zero-terminated string attribute.
func (m *message) text(typ uint16, value string) {
	m.attr(typ, append([]byte(value), 0))
}

// nest appends an attribute whose value fill writes as attributes of its own.
// The value must stay under 64 KiB, the reach of an attribute's length.
func (m *message) nest(typ uint16, fill func(*message)) {
	start := len(*m)
	m.attr(typ|unix.NLA_F_NESTED, nil)
	fill(m)
	binary.NativeEndian.PutUint16((*m)[start:], uint16(len(*m)-start))
}

// addFlags sets further header flags.
func (m message) addFlags(flags uint16) {
	binary.NativeEndian.PutUint16(m[6:], binary.NativeEndian.Uint16(m[6:])|flags)
}

// finish sets the sequence number and the length.
func (m message) finish(seq uint32) {
	binary.NativeEndian.PutUint32(m[0:], uint32(len(m)))
	binary.NativeEndian.PutUint32(m[8:], seq)
}

// reply is one received netlink message.
type reply struct {
	typ, flags uint16
	seq        uint32
	data       []byte
}

// splitReplies cuts a datagram into messages; what is malformed ends it.
func splitReplies(b []byte, each func(reply)) {
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return
		}
		each(reply{
			typ:   binary.NativeEndian.Uint16(b[4:]),
			flags: binary.NativeEndian.Uint16(b[6:]),
			seq:   binary.NativeEndian.Uint32(b[8:]),
			data:  b[unix.SizeofNlMsghdr:n],
		})
		b = b[min(align(n), len(b)):]
	}
}

// errno is the error inside an NLMSG_ERROR message; nil for a plain acknowledgement.
func (r reply) errno() error {
	if len(r.data) < 4 {
		return unix.EBADMSG
	}
	if code := int32(binary.NativeEndian.Uint32(r.data)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// splitAttrs walks the attributes in b; what is malformed ends the walk.
func splitAttrs(b []byte, each func(typ uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return
		}
		each(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:n])
		b = b[min(align(n), len(b)):]
	}
}

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// family is the address family number of an address.
func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
