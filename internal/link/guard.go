// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// guardTable is the nftables table that Guard owns: `nft list table inet hafast`.
const guardTable = "hafast"

// elementsPerMessage keeps a message's element list under the 64 KiB that a
// netlink attribute can hold.
const elementsPerMessage = 1000

// Guard makes the host deaf for VIPs whose Accept_Mode is false (RFC 9568
// section 6.1): ARP and neighbour discovery for them are answered, everything
// else that arrives for them is dropped. A router that only forwards wants this.
//
// The VIP stays a local address, so that the kernel answers for it, and one
// nftables chain drops the rest. The kernel's neighbour proxy entries, which
// would answer for an address that is not local, ask for IP forwarding on the
// interface, and for IPv4 also for a route over another one.
type Guard struct {
	socket *socket
}

// NewGuard works in the calling thread's network namespace.
func NewGuard() (*Guard, error) {
	s, err := openSocket(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	return &Guard{socket: s}, nil
}

// Close releases the socket; the table stays.
func (g *Guard) Close() error { return g.socket.close() }

// Set makes the addresses those that are dropped, in place of whatever was set
// before, by this process or a predecessor, in one transaction. None removes the
// table, which is fine on a kernel without nftables too.
func (g *Guard) Set(addrs []netip.Addr) error {
	if len(addrs) == 0 {
		err := g.socket.transaction(func(r *requests) { r.nftTable(unix.NFT_MSG_DELTABLE, 0, guardTable) })
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("remove nftables table %s: %w", guardTable, err)
		}
		return nil
	}
	if err := g.socket.transaction(func(r *requests) { r.guardRules(addrs) }); err != nil {
		return fmt.Errorf("set nftables table %s: %w", guardTable, err)
	}
	return nil
}

// guardRules replaces the table. Creating it first lets the removal succeed
// whether or not it was there.
func (r *requests) guardRules(addrs []netip.Addr) {
	const chain, set4, set6 = "accept_mode", "vips4", "vips6"
	const id4, id6 = 1, 2
	var v4, v6 []netip.Addr
	for _, a := range addrs {
		if a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	r.nftTable(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, guardTable)
	r.nftTable(unix.NFT_MSG_DELTABLE, 0, guardTable)
	r.nftTable(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, guardTable)
	r.nftInputChain(guardTable, chain)
	r.nftSet(guardTable, set4, id4, keyTypeIPv4, 4)
	r.nftSet(guardTable, set6, id6, keyTypeIPv6, 16)
	for part := range slices.Chunk(v4, elementsPerMessage) {
		r.nftElements(guardTable, set4, part)
	}
	for part := range slices.Chunk(v6, elementsPerMessage) {
		r.nftElements(guardTable, set6, part)
	}
	loopback := binary.NativeEndian.AppendUint16(nil, arphrdLoopback)
	// What the host sends to itself is not received from the network.
	r.nftRule(guardTable, chain,
		loadMeta(unix.NFT_META_IIFTYPE), compare(unix.NFT_CMP_EQ, loopback...),
		verdict(nfAccept))
	// Unicast neighbour solicitations are addressed to the VIP itself.
	r.nftRule(guardTable, chain,
		loadMeta(unix.NFT_META_NFPROTO), compare(unix.NFT_CMP_EQ, unix.NFPROTO_IPV6),
		loadMeta(unix.NFT_META_L4PROTO), compare(unix.NFT_CMP_EQ, unix.IPPROTO_ICMPV6),
		loadPayload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1),
		compare(unix.NFT_CMP_GTE, icmp6Solicitation), compare(unix.NFT_CMP_LTE, icmp6Advertisement),
		verdict(nfAccept))
	r.nftRule(guardTable, chain,
		loadMeta(unix.NFT_META_NFPROTO), compare(unix.NFT_CMP_EQ, unix.NFPROTO_IPV4),
		loadPayload(unix.NFT_PAYLOAD_NETWORK_HEADER, destination4, 4), inSet(set4, id4),
		count(), verdict(nfDrop))
	r.nftRule(guardTable, chain,
		loadMeta(unix.NFT_META_NFPROTO), compare(unix.NFT_CMP_EQ, unix.NFPROTO_IPV6),
		loadPayload(unix.NFT_PAYLOAD_NETWORK_HEADER, destination6, 16), inSet(set6, id6),
		count(), verdict(nfDrop))
}

// transaction sends the nf_tables requests that write writes, which take effect
// together or not at all, and returns the first error.
func (s *socket) transaction(write func(*requests)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Reset()
	s.out.batchMark(unix.NFNL_MSG_BATCH_BEGIN)
	first := s.out.seq
	write(&s.out)
	// Only the last request is acknowledged; the closing mark is not, before
	// Linux 6.10.
	s.out.AddFlags(unix.NLM_F_ACK)
	last := s.out.seq
	s.out.batchMark(unix.NFNL_MSG_BATCH_END)
	if err := s.send(); err != nil {
		return err
	}
	var failure error
	for done := false; !done; {
		datagram, err := s.receive()
		if err != nil {
			return errors.Join(failure, err)
		}
		for m := range nlmsg.Messages(datagram) {
			if m.Type != unix.NLMSG_ERROR || m.Seq-first > last-first {
				continue
			}
			if err := m.Errno(); err != nil && failure == nil {
				failure = err
			}
			// An error on the opening mark refuses the whole, and ends it.
			done = done || m.Seq == last || m.Seq == first
		}
	}
	return failure
}
