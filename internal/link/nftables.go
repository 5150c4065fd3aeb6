// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// The nf_tables messages that Guard needs. Numbers are in network byte order
// (linux/netfilter/nf_tables.h).

const (
	subsystem = unix.NFNL_SUBSYS_NFTABLES << 8

	// Key types as nft(8) names them when it lists a set; the kernel ignores them.
	keyTypeIPv4, keyTypeIPv6 = 7, 8

	// Verdicts (linux/netfilter.h).
	nfDrop, nfAccept = 0, 1

	arphrdLoopback = 772

	// Offsets of the destination address in the IPv4 and IPv6 headers.
	destination4, destination6 = 16, 24

	icmp6Solicitation, icmp6Advertisement = 135, 136
)

// nftHeader is struct nfgenmsg.
func nftHeader(family uint8, resource uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{family, unix.NFNETLINK_V0}, resource)
}

func (r *requests) beginNFT(typ, flags uint16) {
	r.begin(subsystem|typ, flags, nftHeader(unix.NFPROTO_INET, 0)...)
}

func (r *requests) batchMark(typ uint16) {
	r.begin(typ, 0, nftHeader(unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)...)
	r.End()
}

func (r *requests) nftTable(typ, flags uint16, name string) {
	r.beginNFT(typ, flags)
	r.Text(unix.NFTA_TABLE_NAME, name)
	r.End()
}

// nftInputChain is a base chain on packets for the host itself; what it does not
// drop goes on to whatever other tables say.
func (r *requests) nftInputChain(table, name string) {
	r.beginNFT(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE)
	r.Text(unix.NFTA_CHAIN_TABLE, table)
	r.Text(unix.NFTA_CHAIN_NAME, name)
	hook := r.Nest(unix.NFTA_CHAIN_HOOK)
	r.Uint32BE(unix.NFTA_HOOK_HOOKNUM, unix.NF_INET_LOCAL_IN)
	r.Uint32BE(unix.NFTA_HOOK_PRIORITY, 0)
	r.EndNest(hook)
	r.Text(unix.NFTA_CHAIN_TYPE, "filter")
	r.End()
}

func (r *requests) nftSet(table, name string, id, keyType, keyLen uint32) {
	r.beginNFT(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE)
	r.Text(unix.NFTA_SET_TABLE, table)
	r.Text(unix.NFTA_SET_NAME, name)
	r.Uint32BE(unix.NFTA_SET_KEY_TYPE, keyType)
	r.Uint32BE(unix.NFTA_SET_KEY_LEN, keyLen)
	r.Uint32BE(unix.NFTA_SET_ID, id)
	r.End()
}

func (r *requests) nftElements(table, set string, addrs []netip.Addr) {
	r.beginNFT(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE)
	r.Text(unix.NFTA_SET_ELEM_LIST_TABLE, table)
	r.Text(unix.NFTA_SET_ELEM_LIST_SET, set)
	elements := r.Nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	for _, a := range addrs {
		element := r.Nest(unix.NFTA_LIST_ELEM)
		key := r.Nest(unix.NFTA_SET_ELEM_KEY)
		r.Attr(unix.NFTA_DATA_VALUE, a.AsSlice())
		r.EndNest(key)
		r.EndNest(element)
	}
	r.EndNest(elements)
	r.End()
}

// expression is one step of a rule.
type expression struct {
	name string
	fill func(*nlmsg.Builder)
}

func (r *requests) nftRule(table, chain string, steps ...expression) {
	r.beginNFT(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND)
	r.Text(unix.NFTA_RULE_TABLE, table)
	r.Text(unix.NFTA_RULE_CHAIN, chain)
	expressions := r.Nest(unix.NFTA_RULE_EXPRESSIONS)
	for _, step := range steps {
		element := r.Nest(unix.NFTA_LIST_ELEM)
		r.Text(unix.NFTA_EXPR_NAME, step.name)
		data := r.Nest(unix.NFTA_EXPR_DATA)
		step.fill(&r.Builder)
		r.EndNest(data)
		r.EndNest(element)
	}
	r.EndNest(expressions)
	r.End()
}

func loadMeta(key uint32) expression {
	return expression{"meta", func(b *nlmsg.Builder) {
		b.Uint32BE(unix.NFTA_META_KEY, key)
		b.Uint32BE(unix.NFTA_META_DREG, unix.NFT_REG_1)
	}}
}

func loadPayload(base, offset, length uint32) expression {
	return expression{"payload", func(b *nlmsg.Builder) {
		b.Uint32BE(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1)
		b.Uint32BE(unix.NFTA_PAYLOAD_BASE, base)
		b.Uint32BE(unix.NFTA_PAYLOAD_OFFSET, offset)
		b.Uint32BE(unix.NFTA_PAYLOAD_LEN, length)
	}}
}

func compare(op uint32, value ...byte) expression {
	return expression{"cmp", func(b *nlmsg.Builder) {
		b.Uint32BE(unix.NFTA_CMP_SREG, unix.NFT_REG_1)
		b.Uint32BE(unix.NFTA_CMP_OP, op)
		data := b.Nest(unix.NFTA_CMP_DATA)
		b.Attr(unix.NFTA_DATA_VALUE, value)
		b.EndNest(data)
	}}
}

func inSet(name string, id uint32) expression {
	return expression{"lookup", func(b *nlmsg.Builder) {
		b.Text(unix.NFTA_LOOKUP_SET, name)
		b.Uint32BE(unix.NFTA_LOOKUP_SREG, unix.NFT_REG_1)
		b.Uint32BE(unix.NFTA_LOOKUP_SET_ID, id)
	}}
}

func count() expression { return expression{"counter", func(*nlmsg.Builder) {}} }

func verdict(code uint32) expression {
	return expression{"immediate", func(b *nlmsg.Builder) {
		b.Uint32BE(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
		data := b.Nest(unix.NFTA_IMMEDIATE_DATA)
		verdict := b.Nest(unix.NFTA_DATA_VERDICT)
		b.Uint32BE(unix.NFTA_VERDICT_CODE, code)
		b.EndNest(verdict)
		b.EndNest(data)
	}}
}
