// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
	"hafast/test/netns/lab"
)

// flow is a TCP connection from the inside, as its first packet has it.
type flow struct{ from, to netip.AddrPort }

// table is the kernel's connections of a host.
type table struct {
	fd  int
	seq uint32
	msg nlmsg.Builder
	buf []byte
}

// openTable opens it. It is used by one goroutine at a time.
func openTable(h *lab.Host) (*table, error) {
	t := &table{fd: -1, buf: make([]byte, 1<<16)}
	err := h.Do(func() (err error) {
		t.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		// An answer is there when send returns, but a kernel that has no memory for
		// one says nothing.
		timeout := unix.NsecToTimeval(int64(answerTimeout))
		return errors.Join(unix.SetsockoptTimeval(t.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
			unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4*batchBytes))
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the table of %s: %w", h.Name, err), t.close())
	}
	return t, nil
}

const (
	answerTimeout = 5 * time.Second
	// batchBytes is how much is said to the kernel at a time.
	batchBytes = 1 << 16
	// madeUpTimeout is how long a made-up entry lives, in seconds.
	madeUpTimeout = 3600
)

func (t *table) close() error {
	if t.fd < 0 {
		return nil
	}
	return unix.Close(t.fd)
}

// begin starts a message to the connection tracking of IPv4.
func (t *table) begin(msg, flags uint16) {
	t.seq++
	t.msg.Begin(unix.NFNL_SUBSYS_CTNETLINK<<8|msg, unix.NLM_F_REQUEST|flags, t.seq, unix.AF_INET, unix.NFNETLINK_V0, 0, 0)
}

// tuple appends one direction of a connection.
func (t *table) tuple(attr uint16, from, to netip.AddrPort) {
	tuple := t.msg.Nest(attr)
	ip := t.msg.Nest(attrTupleIP)
	t.msg.Attr(attrIPv4Source, from.Addr().AsSlice())
	t.msg.Attr(attrIPv4Destination, to.Addr().AsSlice())
	t.msg.EndNest(ip)
	proto := t.msg.Nest(attrTupleProto)
	t.msg.Uint8(attrProtoNumber, unix.IPPROTO_TCP)
	t.msg.Uint16BE(attrProtoSourcePort, from.Port())
	t.msg.Uint16BE(attrProtoDestinationPort, to.Port())
	t.msg.EndNest(proto)
	t.msg.EndNest(tuple)
}

// create appends a message that makes an established connection, seen from outside
// as one of the address at its own port.
func (t *table) create(f flow, nat netip.Addr) {
	t.begin(msgNew, unix.NLM_F_CREATE)
	t.tuple(attrTupleOrig, f.from, f.to)
	t.tuple(attrTupleReply, f.to, f.from)
	t.msg.Uint32BE(attrStatus, statusSeenReply|statusAssured|statusConfirmed)
	t.msg.Uint32BE(attrTimeout, madeUpTimeout)
	info := t.msg.Nest(attrProtoInfo)
	tcp := t.msg.Nest(attrProtoInfoTCP)
	t.msg.Uint8(attrTCPState, tcpEstablished)
	// Flags are a value and a mask (struct nf_ct_tcp_flags).
	t.msg.Attr(attrTCPFlagsOriginal, []byte{tcpBeLiberal, tcpBeLiberal})
	t.msg.Attr(attrTCPFlagsReply, []byte{tcpBeLiberal, tcpBeLiberal})
	t.msg.EndNest(tcp)
	t.msg.EndNest(info)
	source := t.msg.Nest(attrNATSource)
	t.msg.Attr(attrNATMinIPv4, nat.AsSlice())
	t.msg.Attr(attrNATMaxIPv4, nat.AsSlice())
	ports := t.msg.Nest(attrNATProto)
	t.msg.Uint16BE(attrNATPortMin, f.from.Port())
	t.msg.Uint16BE(attrNATPortMax, f.from.Port())
	t.msg.EndNest(ports)
	t.msg.EndNest(source)
	t.msg.End()
}

// fill makes so many connections that nobody has, all translated to the address.
func (t *table) fill(ctx context.Context, n int, nat netip.Addr) error {
	for i := 0; i < n; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t.msg.Reset()
		for ; i < n && t.msg.Len() < batchBytes-512; i++ {
			t.create(madeUp(i), nat)
		}
		t.msg.AddFlags(unix.NLM_F_ACK)
		if err := t.exchange(nil); err != nil {
			return fmt.Errorf("make connection %d or one before: %w", i, err)
		}
	}
	return nil
}

// madeUp is the ith of many different connections to addresses that are for
// measurements (RFC 2544 appendix C.2.2).
func madeUp(i int) flow {
	const ports = 50000
	to := netip.AddrFrom4([4]byte{198, 18, byte(i / ports >> 8), byte(i / ports)})
	return flow{
		from: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 1, 50}), uint16(10000+i%ports)),
		to:   netip.AddrPortFrom(to, 80),
	}
}

// established reports whether the table has the connection, and in that state.
func (t *table) established(f flow) (bool, error) {
	t.msg.Reset()
	t.begin(msgGet, 0)
	t.tuple(attrTupleOrig, f.from, f.to)
	t.msg.End()
	var state uint8
	err := t.exchange(func(m nlmsg.Message) {
		if len(m.Data) > headerLen {
			state = tcpState(m.Data[headerLen:])
		}
	})
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return state == tcpEstablished, err
}

// tcpState finds the state among a connection's attributes; it is 0 without one.
func tcpState(attrs []byte) uint8 {
	for _, want := range []uint16{attrProtoInfo, attrProtoInfoTCP, attrTCPState} {
		var found []byte
		for typ, value := range nlmsg.Attrs(attrs) {
			if typ == want {
				found = value
			}
		}
		attrs = found
	}
	if len(attrs) == 0 {
		return 0
	}
	return attrs[0]
}

// flush empties the table.
func (t *table) flush() error {
	t.msg.Reset()
	t.begin(msgDelete, unix.NLM_F_ACK)
	t.msg.End()
	return t.exchange(nil)
}

// exchange says what has been written, and passes the answers on until that to the last
// message. The error is the first one that the kernel says; it says errors of all
// messages, and success of those that ask for it.
func (t *table) exchange(handle func(nlmsg.Message)) error {
	if err := unix.Sendto(t.fd, t.msg.Bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	var failure error
	for {
		datagram, err := nlmsg.Receive(t.fd, t.buf)
		if err != nil {
			return errors.Join(failure, err)
		}
		for m := range nlmsg.Messages(datagram) {
			switch {
			case m.Type == unix.NLMSG_ERROR:
				if err := m.Errno(); err != nil && failure == nil {
					failure = err
				}
			case handle != nil:
				handle(m)
			}
			if m.Seq == t.seq {
				return failure
			}
		}
	}
}
