// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The data path of hafast: one XDP program on every interface that carries VIPs.
 *
 *   frame -> parse -> ARP, NS      gate.h    answered only by the Active host
 *                  -> UDP 7784     sbfd.h    answered or noted right here
 *                  -> not a VIP    PASS      other people's traffic, cheaply
 *                  -> VIP          steer.h   to the haproxy that has the flow
 *
 * What is not understood is the stack's business: a bound that does not hold passes
 * the packet on. Dropped are only requests that another host is to answer, and S-BFD
 * packets that break the rules. Each verdict has a reason, and each reason a counter.
 */
#include "gate.h"
#include "packet.h"
#include "replicate.h"
#include "sbfd.h"
#include "steer.h"

/* from_peer: a frame that a peer's program has sent on has the peer's own address,
 * whatever this host thinks of the peer's health. */
static __always_inline int from_peer(const struct packet *p)
{
	const __u8 *mac = p->eth->h_source;
	const struct control *ctl = p->ctl;

	AS_LOOP
	for (__u32 i = 0; i < MAX_TARGETS; i++) {
		const struct target *t = &ctl->target[i];

		if (i >= ctl->targets)
			break;
		if (i != ctl->self && same_mac(mac, t->mac))
			return 1;
	}
	return 0;
}

static __always_inline outcome handle_icmp4(const struct packet *p, void *l4)
{
	struct icmp_error *icmp = l4;
	struct iphdr *inner = (void *)(icmp + 1);
	struct ports *ports = (void *)(inner + 1);
	struct flow_packet f = {.frame = p, .ipv6 = 0};
	struct flow4_key key;

	if (!reaches(p, icmp, sizeof(*icmp)))
		return pass(PASS_TRUNCATED);
	if (icmp->type != ICMP_UNREACHABLE && icmp->type != ICMP_TIME_EXCEEDED && icmp->type != ICMP_PARAMETER)
		return pass(PASS_PROTOCOL);
	if (!reaches(p, inner, sizeof(*inner) + sizeof(*ports)))
		return pass(PASS_TRUNCATED);
	if (inner->ihl != 5 || inner->frag_off & bpf_htons(0x1fff))
		return pass(PASS_IP_OPTIONS);
	/* It quotes what the VIP has sent: the flow's packets go the other way. */
	key.client = inner->daddr;
	key.vip = inner->saddr;
	key.client_port = ports->dest;
	key.vip_port = ports->source;
	f.key = &key;
	f.proto = inner->protocol;
	if (f.proto == IPPROTO_TCP) {
		f.flows = &tcp4;
		return steer_error(&f);
	}
	if (f.proto == IPPROTO_UDP) {
		f.flows = &udp4;
		return steer_error(&f);
	}
	return pass(PASS_PROTOCOL);
}

static __always_inline outcome handle_icmp6(const struct packet *p, void *l4)
{
	struct icmp_error *icmp = l4;
	struct ipv6hdr *inner = (void *)(icmp + 1);
	struct ports *ports = (void *)(inner + 1);
	struct flow_packet f = {.frame = p, .ipv6 = 1};
	struct flow6_key key;

	if (!reaches(p, icmp, sizeof(*icmp)))
		return pass(PASS_TRUNCATED);
	if (icmp->type < ICMP6_UNREACHABLE || icmp->type > ICMP6_PARAMETER)
		return pass(PASS_PROTOCOL);
	if (!reaches(p, inner, sizeof(*inner) + sizeof(*ports)))
		return pass(PASS_TRUNCATED);
	copy_ipv6(key.client, &inner->daddr);
	copy_ipv6(key.vip, &inner->saddr);
	key.client_port = ports->dest;
	key.vip_port = ports->source;
	f.key = &key;
	f.proto = inner->nexthdr;
	if (f.proto == IPPROTO_TCP) {
		f.flows = &tcp6;
		return steer_error(&f);
	}
	if (f.proto == IPPROTO_UDP) {
		f.flows = &udp6;
		return steer_error(&f);
	}
	return pass(PASS_PROTOCOL);
}

static __always_inline outcome handle_ipv4(const struct packet *p)
{
	struct iphdr *ip = p->l3;
	struct flow_packet f = {.frame = p, .l3 = ip, .l4 = ip + 1, .ipv6 = 0};
	struct ports *ports = f.l4;
	struct flow4_key key;
	int kind, plain;
	__u32 size;

	if (!reaches(p, ip, sizeof(*ip)))
		return pass(PASS_TRUNCATED);
	plain = *(__u8 *)ip == IP_PLAIN;
	size = bpf_ntohs(ip->tot_len);
	if (ip->protocol == IPPROTO_UDP && plain && !(ip->frag_off & bpf_htons(IP_FRAGMENTED)) &&
	    reaches(p, f.l4, sizeof(struct udphdr))) {
		kind = sbfd_port(p->ctl, f.l4);
		if (kind)
			return handle_sbfd4(p, ip, f.l4, size > sizeof(*ip) ? size - sizeof(*ip) : 0, kind);
	}
	if (!maybe_vip(p->ctl, ip->daddr))
		return pass(PASS_OTHER);
	if (from_peer(p))
		return pass(PASS_FROM_PEER);
	if (ip->frag_off & bpf_htons(IP_FRAGMENTED))
		return pass(PASS_FRAGMENT);
	if (!plain)
		return pass(PASS_IP_OPTIONS);
	if (ip->protocol == IPPROTO_ICMP)
		return handle_icmp4(p, f.l4);
	key.client = ip->saddr;
	key.vip = ip->daddr;
	f.key = &key;
	f.proto = ip->protocol;
	if (f.proto == IPPROTO_TCP) {
		if (!reaches(p, f.l4, sizeof(struct tcphdr)) || size < sizeof(*ip) + sizeof(struct tcphdr))
			return pass(PASS_TRUNCATED);
		key.client_port = ports->source;
		key.vip_port = ports->dest;
		f.flows = &tcp4;
		return steer_tcp(&f);
	}
	if (f.proto == IPPROTO_UDP) {
		if (!reaches(p, f.l4, sizeof(struct udphdr)) || size < sizeof(*ip) + sizeof(struct udphdr))
			return pass(PASS_TRUNCATED);
		key.client_port = ports->source;
		key.vip_port = ports->dest;
		f.flows = &udp4;
		return steer_udp(&f);
	}
	return pass(PASS_PROTOCOL);
}

static __always_inline outcome handle_ipv6(const struct packet *p)
{
	struct ipv6hdr *ip = p->l3;
	struct flow_packet f = {.frame = p, .l3 = ip, .l4 = ip + 1, .ipv6 = 1};
	struct ports *ports = f.l4;
	struct flow6_key key;
	__u32 size;
	int kind;

	if (!reaches(p, ip, sizeof(*ip)))
		return pass(PASS_TRUNCATED);
	f.proto = ip->nexthdr;
	size = bpf_ntohs(ip->payload_len);
	if (f.proto == IPPROTO_ICMPV6 && reaches(p, f.l4, 1) && *(__u8 *)f.l4 == ICMP6_NEIGHBOR_SOLICIT)
		return handle_solicit(p, f.l4);
	if (f.proto == IPPROTO_UDP && reaches(p, f.l4, sizeof(struct udphdr))) {
		kind = sbfd_port(p->ctl, f.l4);
		if (kind)
			return handle_sbfd6(p, ip, f.l4, size, kind);
	}
	copy_ipv6(key.vip, &ip->daddr);
	if (!maybe_vip(p->ctl, fold6(key.vip)))
		return pass(PASS_OTHER);
	if (from_peer(p))
		return pass(PASS_FROM_PEER);
	if (f.proto == IPPROTO_FRAGMENT)
		return pass(PASS_FRAGMENT);
	if (f.proto == IPPROTO_HOPOPTS || f.proto == IPPROTO_ROUTING || f.proto == IPPROTO_DSTOPTS)
		return pass(PASS_IP_OPTIONS);
	if (f.proto == IPPROTO_ICMPV6)
		return handle_icmp6(p, f.l4);
	copy_ipv6(key.client, &ip->saddr);
	f.key = &key;
	if (f.proto == IPPROTO_TCP) {
		if (!reaches(p, f.l4, sizeof(struct tcphdr)) || size < sizeof(struct tcphdr))
			return pass(PASS_TRUNCATED);
		key.client_port = ports->source;
		key.vip_port = ports->dest;
		f.flows = &tcp6;
		return steer_tcp(&f);
	}
	if (f.proto == IPPROTO_UDP) {
		if (!reaches(p, f.l4, sizeof(struct udphdr)) || size < sizeof(struct udphdr))
			return pass(PASS_TRUNCATED);
		key.client_port = ports->source;
		key.vip_port = ports->dest;
		f.flows = &udp6;
		return steer_udp(&f);
	}
	return pass(PASS_PROTOCOL);
}

static __always_inline outcome handle(struct packet *p)
{
	__be16 type;

	if (!reaches(p, p->eth, sizeof(*p->eth)))
		return pass(PASS_TRUNCATED);
	type = p->eth->h_proto;
	p->l3 = p->eth + 1;
	/* A frame of a VLAN belongs to the VLAN's own interface, which has the program too if
	 * it carries VIPs. A tag without a VLAN has a priority only, and stays as it is. */
	if (type == bpf_htons(ETH_P_8021Q)) {
		struct vlan_tag *tag = p->l3;

		if (!reaches(p, tag, sizeof(*tag)))
			return pass(PASS_TRUNCATED);
		if (tag->tci & bpf_htons(VLAN_ID))
			return pass(PASS_OTHER);
		type = tag->type;
		p->l3 = tag + 1;
	}
	if (type == bpf_htons(ETH_P_IP))
		return handle_ipv4(p);
	if (type == bpf_htons(ETH_P_IPV6))
		return handle_ipv6(p);
	if (type == bpf_htons(ETH_P_ARP))
		return handle_arp(p);
	return pass(PASS_OTHER);
}

SEC("xdp.frags")
int hafast(struct xdp_md *ctx)
{
	struct packet p = {
		.ctx = ctx,
		.eth = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	__u32 zero = 0;

	p.ctl = bpf_map_lookup_elem(&control, &zero);
	if (!p.ctl)
		return XDP_PASS;
	return count(ctx, handle(&p));
}

char _license[] SEC("license") = "Dual BSD/GPL";
