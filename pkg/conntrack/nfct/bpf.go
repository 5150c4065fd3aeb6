// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"hafast/pkg/conntrack/record"
)

// Where things are in a message: struct nlmsghdr, then struct nfgenmsg, then
// attributes.
const (
	offType   = 4
	offPort   = 12
	offFamily = unix.SizeofNlMsghdr
	offAttrs  = unix.SizeofNlMsghdr + sizeofGenMsg
)

// The socket filter's memory: where the entry's four addresses are, and the protocol.
const (
	memAddresses = 0 // to 3
	memProto     = 4
	memTuple     = 5
)

// maxInstructions is BPF_MAXINSNS.
const maxInstructions = 4096

// socketFilter is a classic BPF program that drops, before they are queued, those
// events that judge would ignore for what is cheap to see, and all that the netlink
// port own has caused. What it does not understand it lets through. addresses says
// whether it holds the Filter's prefixes too: many of them do not fit.
func socketFilter(f *Filter, own uint32, addresses bool) []unix.SockFilter {
	var p program
	p.load(unix.BPF_W, offPort)
	p.ifEqual(networkOrder32(own), "drop")
	p.load(unix.BPF_H, offType)
	p.ifEqual(networkOrder16(typeNew), "entry")
	p.ifEqual(networkOrder16(typeDelete), "entry")
	p.jump("pass")

	p.label("entry")
	p.attr(ctaTupleOrig, "pass")
	p.store(memTuple)
	p.nested("pass", ctaTupleProto)
	p.store(memProto) // the nest, until the ports have been looked at
	p.protocols(f)
	if addresses && len(f.Include)+len(f.Exclude) > 0 {
		p.load(unix.BPF_B, offFamily)
		p.ifEqual(unix.AF_INET, "v4")
		p.ifEqual(unix.AF_INET6, "v6")
		p.jump("pass")
		p.label("v4")
		p.addresses(f, "v4", ctaIPv4Src, ctaIPv4Dst)
		p.label("v6")
		p.addresses(f, "v6", ctaIPv6Src, ctaIPv6Dst)
	}
	p.label("state")
	p.states(f)

	p.label("pass")
	p.ret(0xffffffff)
	p.label("drop")
	p.ret(0)
	return p.link()
}

// protocols looks at protocol and sync port, with the nest of the protocol in memory
// and in A; it leaves the protocol in memory.
func (p *program) protocols(f *Filter) {
	p.nested("pass", ctaProtoNum)
	p.loadValue(unix.BPF_B)
	for _, proto := range f.Protocols {
		if proto == unix.IPPROTO_UDP && f.SyncPort != 0 {
			p.ifEqual(uint32(proto), "udp")
			continue
		}
		p.ifEqual(uint32(proto), "wanted")
	}
	p.jump("drop")
	p.label("udp")
	for _, port := range []uint32{ctaProtoSrcPort, ctaProtoDstPort} {
		p.recall(memProto)
		p.nested("pass", port)
		p.loadValue(unix.BPF_H)
		p.ifEqual(uint32(f.SyncPort), "drop")
	}
	p.constant(unix.IPPROTO_UDP)
	p.label("wanted")
	p.store(memProto)
}

// addresses looks at the four addresses of an entry; src and dst are the attributes
// of the family, whose name makes the labels unique.
func (p *program) addresses(f *Filter, name string, src, dst uint32) {
	p.recall(memTuple)
	p.addressesOf(memAddresses, src, dst)
	p.attr(ctaTupleReply, "pass")
	p.store(memTuple)
	p.addressesOf(memAddresses+2, src, dst)
	if len(f.Include) > 0 {
		p.matchAny(f.Include, name, name+" included")
		p.jump("drop")
		p.label(name + " included")
	}
	p.matchAny(f.Exclude, name, "drop")
	p.jump("state")
}

// addressesOf remembers where the two addresses of the tuple in A and memTuple are.
func (p *program) addressesOf(mem, src, dst uint32) {
	for i, typ := range []uint32{src, dst} {
		p.recall(memTuple)
		p.nested("pass", ctaTupleIP)
		p.nested("pass", typ)
		p.store(mem + uint32(i))
	}
}

// matchAny jumps to target if one of the addresses is in one of the prefixes of the
// family.
func (p *program) matchAny(prefixes []netip.Prefix, name, target string) {
	for _, prefix := range prefixes {
		if prefix.Addr().Is4() != (name == "v4") {
			continue
		}
		for mem := range uint32(4) {
			p.matchPrefix(prefix.Masked(), memAddresses+mem, target)
		}
	}
}

func (p *program) matchPrefix(prefix netip.Prefix, mem uint32, target string) {
	addr := record.AddressOf(prefix.Addr())
	words, bits := addr[:], prefix.Bits()
	if prefix.Addr().Is4() {
		words = words[12:]
	}
	next := p.fresh()
	for offset := 0; bits > 0; offset, bits = offset+4, bits-32 {
		p.recallX(mem)
		p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_IND, uint32(unix.NLA_HDRLEN+offset))
		if bits < 32 {
			p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, ^uint32(0)<<(32-bits))
		}
		p.unlessEqual(binary.BigEndian.Uint32(words[offset:]), next)
	}
	p.jump(target)
	p.label(next)
}

// states looks at the TCP state, and whether an entry of another protocol is assured.
func (p *program) states(f *Filter) {
	p.recall(memProto)
	p.ifEqual(unix.IPPROTO_TCP, "tcp")
	if !f.Unassured {
		p.attr(ctaStatus, "pass")
		p.loadValue(unix.BPF_W)
		p.ifSet(statusAssured, "pass")
		p.jump("drop")
	}
	p.jump("pass")
	p.label("tcp")
	p.attr(ctaProtoInfo, "pass")
	p.nested("pass", ctaProtoInfoTCP)
	p.nested("pass", ctaTCPState)
	p.loadValue(unix.BPF_B)
	// A state that is no bit of the word would make the shift undefined.
	p.ifGreater(31, "drop")
	p.add(unix.BPF_MISC|unix.BPF_TAX, 0)
	p.constant(1)
	p.add(unix.BPF_ALU|unix.BPF_LSH|unix.BPF_X, 0)
	p.store(memProto)
	p.load(unix.BPF_H, offType)
	p.ifEqual(networkOrder16(typeDelete), "destroyed")
	p.recall(memProto)
	p.ifSet(uint32(f.States&^f.quiet()|f.over()), "pass")
	p.jump("drop")
	p.label("destroyed")
	p.recall(memProto)
	p.ifSet(uint32(f.States), "pass")
	p.jump("drop")
}

// networkOrder32 and networkOrder16 are what BPF, which reads in network order, makes
// of a number in host order.
func networkOrder32(v uint32) uint32 {
	return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, v))
}

func networkOrder16(v uint16) uint32 {
	return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, v)))
}
