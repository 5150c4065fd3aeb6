// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// From linux/inet_diag.h. Ports and addresses are in network order, the rest in
// host order.
const (
	// sizeofRequest is the size of struct inet_diag_req_v2: family, protocol,
	// extensions, padding, a mask of states and a struct inet_diag_sockid.
	sizeofRequest = 8 + sizeofSockID
	// sizeofSockID: ports, addresses of 16 bytes, interface, cookie.
	sizeofSockID = 2 + 2 + 16 + 16 + 4 + 8
	// sizeofMsg is the size of struct inet_diag_msg: family, state, timer,
	// retransmissions, a struct inet_diag_sockid, expiry, queues, uid, inode.
	sizeofMsg = 4 + sizeofSockID + 5*4
	// attrV6Only is INET_DIAG_SKV6ONLY, one byte; only for IPv6 sockets in the
	// states LISTEN and CLOSE.
	attrV6Only = 11
	// timerTimeWait is idiag_timer of a minimal socket: what the kernel keeps of
	// a connection that its process has done with.
	timerTimeWait = 3
)

// record is what is read of one socket.
type record struct {
	// local is IPv4 where the socket speaks IPv4, also when the socket itself is
	// an IPv6 one.
	local netip.AddrPort
	// dual tells an IPv6 socket that takes IPv4 too, if it is bound to [::].
	dual bool
	// minimal tells that no process has the connection any more.
	minimal bool
	inode   uint32
	// cookie is the socket's own: never used for another until the next boot.
	cookie uint64
}

// appendRequest appends a struct inet_diag_req_v2 that asks for all sockets of a
// family and protocol in the states of the mask.
func appendRequest(b []byte, family, protocol uint8, states uint32) []byte {
	b = append(b, family, protocol, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, states)
	return append(b, make([]byte, sizeofSockID)...)
}

// parseRecord reads a struct inet_diag_msg and the attributes behind it.
func parseRecord(b []byte) (record, bool) {
	if len(b) < sizeofMsg {
		return record{}, false
	}
	const id = 4
	port := binary.BigEndian.Uint16(b[id:])
	var addr netip.Addr
	switch b[0] {
	case unix.AF_INET:
		addr = netip.AddrFrom4([4]byte(b[id+4:]))
	case unix.AF_INET6:
		addr = netip.AddrFrom16([16]byte(b[id+4:])).Unmap()
	default:
		return record{}, false
	}
	r := record{
		local:   netip.AddrPortFrom(addr, port),
		minimal: b[2] == timerTimeWait,
		cookie:  binary.NativeEndian.Uint64(b[id+40:]),
		inode:   binary.NativeEndian.Uint32(b[sizeofMsg-4:]),
	}
	if addr.Is6() {
		r.dual = true
		for typ, value := range nlmsg.Attrs(b[sizeofMsg:]) {
			if typ == attrV6Only && len(value) == 1 {
				r.dual = value[0] == 0
			}
		}
	}
	return r, true
}
