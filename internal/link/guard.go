package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
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
		err := g.socket.transaction([]message{nftTable(unix.NFT_MSG_DELTABLE, 0, guardTable)})
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("remove nftables table %s: %w", guardTable, err)
		}
		return nil
	}
	if err := g.socket.transaction(guardRules(addrs)); err != nil {
		return fmt.Errorf("set nftables table %s: %w", guardTable, err)
	}
	return nil
}

// guardRules replaces the table. Creating it first lets the removal succeed
// whether or not it was there.
func guardRules(addrs []netip.Addr) []message {
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
	batch := []message{
		nftTable(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, guardTable),
		nftTable(unix.NFT_MSG_DELTABLE, 0, guardTable),
		nftTable(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, guardTable),
		nftInputChain(guardTable, chain),
		nftSet(guardTable, set4, id4, keyTypeIPv4, 4),
		nftSet(guardTable, set6, id6, keyTypeIPv6, 16),
	}
	for part := range slices.Chunk(v4, elementsPerMessage) {
		batch = append(batch, nftElements(guardTable, set4, part))
	}
	for part := range slices.Chunk(v6, elementsPerMessage) {
		batch = append(batch, nftElements(guardTable, set6, part))
	}
	loopback := binary.NativeEndian.AppendUint16(nil, arphrdLoopback)
	return append(
		batch,
		// What the host sends to itself is not received from the network.
		nftRule(guardTable, chain,
			loadMeta(unix.NFT_META_IIFTYPE), compare(unix.NFT_CMP_EQ, loopback...),
			verdict(nfAccept)),
		// Unicast neighbour solicitations are addressed to the VIP itself.
		nftRule(guardTable, chain,
			loadMeta(unix.NFT_META_NFPROTO), compare(unix.NFT_CMP_EQ, unix.NFPROTO_IPV6),
			loadMeta(unix.NFT_META_L4PROTO), compare(unix.NFT_CMP_EQ, unix.IPPROTO_ICMPV6),
			loadPayload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1),
			compare(unix.NFT_CMP_GTE, icmp6Solicitation), compare(unix.NFT_CMP_LTE, icmp6Advertisement),
			verdict(nfAccept)),
		nftRule(guardTable, chain,
			loadMeta(unix.NFT_META_NFPROTO), compare(unix.NFT_CMP_EQ, unix.NFPROTO_IPV4),
			loadPayload(unix.NFT_PAYLOAD_NETWORK_HEADER, destination4, 4), inSet(set4, id4),
			count(), verdict(nfDrop)),
		nftRule(guardTable, chain,
			loadMeta(unix.NFT_META_NFPROTO), compare(unix.NFT_CMP_EQ, unix.NFPROTO_IPV6),
			loadPayload(unix.NFT_PAYLOAD_NETWORK_HEADER, destination6, 16), inSet(set6, id6),
			count(), verdict(nfDrop)),
	)
}

// transaction sends nf_tables requests that take effect together or not at all,
// and returns the first error.
func (s *socket) transaction(requests []message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Only the last request is acknowledged; the closing mark is not, before
	// Linux 6.10.
	requests[len(requests)-1].addFlags(unix.NLM_F_ACK)
	all := append([]message{batchMark(unix.NFNL_MSG_BATCH_BEGIN)}, requests...)
	all = append(all, batchMark(unix.NFNL_MSG_BATCH_END))
	var datagram []byte
	first := s.seq + 1
	for _, m := range all {
		s.seq++
		m.finish(s.seq)
		datagram = append(datagram, m...)
	}
	last := s.seq - 1
	if err := unix.Sendto(s.fd, datagram, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send to netlink: %w", err)
	}
	var failure error
	for done := false; !done; {
		err := s.receive(func(r reply) {
			if r.typ != unix.NLMSG_ERROR || r.seq-first > last-first {
				return
			}
			if err := r.errno(); err != nil && failure == nil {
				failure = err
			}
			// An error on the opening mark refuses the whole, and ends it.
			done = done || r.seq == last || r.seq == first
		})
		if err != nil {
			return errors.Join(failure, fmt.Errorf("receive from netlink: %w", err))
		}
	}
	return failure
}
