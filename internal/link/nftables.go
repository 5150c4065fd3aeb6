package link

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
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

func nftMessage(typ, flags uint16) message {
	return newMessage(subsystem|typ, flags, nftHeader(unix.NFPROTO_INET, 0))
}

func batchMark(typ uint16) message {
	return newMessage(typ, 0, nftHeader(unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES))
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func nftTable(typ, flags uint16, name string) message {
	m := nftMessage(typ, flags)
	m.text(unix.NFTA_TABLE_NAME, name)
	return m
}

// nftInputChain is a base chain on packets for the host itself; what it does not
// drop goes on to whatever other tables say.
func nftInputChain(table, name string) message {
	m := nftMessage(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE)
	m.text(unix.NFTA_CHAIN_TABLE, table)
	m.text(unix.NFTA_CHAIN_NAME, name)
	m.nest(unix.NFTA_CHAIN_HOOK, func(m *message) {
		m.attr(unix.NFTA_HOOK_HOOKNUM, be32(unix.NF_INET_LOCAL_IN))
		m.attr(unix.NFTA_HOOK_PRIORITY, be32(0))
	})
	m.text(unix.NFTA_CHAIN_TYPE, "filter")
	return m
}

func nftSet(table, name string, id, keyType, keyLen uint32) message {
	m := nftMessage(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE)
	m.text(unix.NFTA_SET_TABLE, table)
	m.text(unix.NFTA_SET_NAME, name)
	m.attr(unix.NFTA_SET_KEY_TYPE, be32(keyType))
	m.attr(unix.NFTA_SET_KEY_LEN, be32(keyLen))
	m.attr(unix.NFTA_SET_ID, be32(id))
	return m
}

func nftElements(table, set string, addrs []netip.Addr) message {
	m := nftMessage(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE)
	m.text(unix.NFTA_SET_ELEM_LIST_TABLE, table)
	m.text(unix.NFTA_SET_ELEM_LIST_SET, set)
	m.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(m *message) {
		for _, a := range addrs {
			m.nest(unix.NFTA_LIST_ELEM, func(m *message) {
				m.nest(unix.NFTA_SET_ELEM_KEY, func(m *message) {
					m.attr(unix.NFTA_DATA_VALUE, a.AsSlice())
				})
			})
		}
	})
	return m
}

// expression is one step of a rule.
type expression struct {
	name string
	fill func(*message)
}

func nftRule(table, chain string, steps ...expression) message {
	m := nftMessage(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND)
	m.text(unix.NFTA_RULE_TABLE, table)
	m.text(unix.NFTA_RULE_CHAIN, chain)
	m.nest(unix.NFTA_RULE_EXPRESSIONS, func(m *message) {
		for _, step := range steps {
			m.nest(unix.NFTA_LIST_ELEM, func(m *message) {
				m.text(unix.NFTA_EXPR_NAME, step.name)
				m.nest(unix.NFTA_EXPR_DATA, step.fill)
			})
		}
	})
	return m
}

func loadMeta(key uint32) expression {
	return expression{"meta", func(m *message) {
		m.attr(unix.NFTA_META_KEY, be32(key))
		m.attr(unix.NFTA_META_DREG, be32(unix.NFT_REG_1))
	}}
}

func loadPayload(base, offset, length uint32) expression {
	return expression{"payload", func(m *message) {
		m.attr(unix.NFTA_PAYLOAD_DREG, be32(unix.NFT_REG_1))
		m.attr(unix.NFTA_PAYLOAD_BASE, be32(base))
		m.attr(unix.NFTA_PAYLOAD_OFFSET, be32(offset))
		m.attr(unix.NFTA_PAYLOAD_LEN, be32(length))
	}}
}

func compare(op uint32, value ...byte) expression {
	return expression{"cmp", func(m *message) {
		m.attr(unix.NFTA_CMP_SREG, be32(unix.NFT_REG_1))
		m.attr(unix.NFTA_CMP_OP, be32(op))
		m.nest(unix.NFTA_CMP_DATA, func(m *message) { m.attr(unix.NFTA_DATA_VALUE, value) })
	}}
}

func inSet(name string, id uint32) expression {
	return expression{"lookup", func(m *message) {
		m.text(unix.NFTA_LOOKUP_SET, name)
		m.attr(unix.NFTA_LOOKUP_SREG, be32(unix.NFT_REG_1))
		m.attr(unix.NFTA_LOOKUP_SET_ID, be32(id))
	}}
}

func count() expression { return expression{"counter", func(*message) {}} }

func verdict(code uint32) expression {
	return expression{"immediate", func(m *message) {
		m.attr(unix.NFTA_IMMEDIATE_DREG, be32(unix.NFT_REG_VERDICT))
		m.nest(unix.NFTA_IMMEDIATE_DATA, func(m *message) {
			m.nest(unix.NFTA_DATA_VERDICT, func(m *message) {
				m.attr(unix.NFTA_VERDICT_CODE, be32(code))
			})
		})
	}}
}
