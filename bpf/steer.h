// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Steering: each packet of a flow goes to the haproxy that has the flow.
 *
 *   from a peer                 -> this host's stack: one hop at most, no loops
 *   a known flow                -> its target
 *   a SYN                       -> a healthy target by the table; nothing is stored, so
 *                                  that a flood of SYNs fills nothing
 *   anything else (second chance)
 *     a socket here knows it    -> this host
 *     nobody here does          -> the peer
 *                                  and the flow is stored
 *
 * Keys have the layout of struct bpf_sock_tuple, so that a flow's key is also what
 * its socket is looked up by.
 */
#pragma once

#include "count.h"
#include "events.h"
#include "packet.h"
#include "services.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_FLAGS 13 /* offset in the header */
#define LISTENING 10 /* TCP_LISTEN */
#define TIME_WAIT 6  /* TCP_TIME_WAIT */

/* flow_packet is a packet to a VIP that may belong to a flow. */
struct flow_packet {
	const struct packet *frame;
	void *flows;     /* the table for its family and protocol */
	const void *key; /* its key there */
	void *l3;
	void *l4;
	__u8 proto;
	__u8 ipv6; /* a constant wherever this is used */
};

static __always_inline __u32 hash_of(const struct flow_packet *f)
{
	if (f->ipv6) {
		const struct flow6_key *k = f->key;

		return flow_hash(fold6(k->client), fold6(k->vip), k->client_port | (__u32)k->vip_port << 16);
	}
	const struct flow4_key *k = f->key;

	return flow_hash(k->client, k->vip, k->client_port | (__u32)k->vip_port << 16);
}

/* look_up finds the packet's service in one of the banks; 0 if there is none. */
static __always_inline __u64 look_up(const struct flow_packet *f, __u32 which)
{
	if (f->ipv6)
		return find_service6(which, f->key, f->proto);
	const struct flow4_key *k = f->key;

	return find_service4(which, k->vip, k->vip_port | (__u32)f->proto << 16);
}

/* named is whom one of the banks names for the packet's flow. */
static __always_inline __u32 named(const struct flow_packet *f, __u32 which, __u64 service)
{
	struct steering *st = bank(which);

	if (!st || !service)
		return NO_TARGET;
	return table_choice(st, FOUND_SET(service), hash_of(f));
}

/* socket_here is the socket of this host that the packet would reach; it must be
 * released. */
static __always_inline struct bpf_sock *socket_here(const struct flow_packet *f)
{
	__u32 size = f->ipv6 ? sizeof(struct flow6_key) : sizeof(struct flow4_key);

	return bpf_skc_lookup_tcp(f->frame->ctx, (struct bpf_sock_tuple *)f->key, size, BPF_F_CURRENT_NETNS, 0);
}

/* What this host's sockets know of a flow. */
enum knowledge {
	UNKNOWN,  /* nobody has it, nobody listens */
	LISTENED, /* somebody listens who has not heard of it */
	KNOWN,
};

/* known_here asks them. A listener has the flow only if it has given out a SYN cookie
 * for it, which costs a computation: may_be_cookie says whether it is worth that. */
static __always_inline enum knowledge known_here(const struct flow_packet *f, int may_be_cookie)
{
	struct bpf_sock *sk = socket_here(f);
	enum knowledge k = KNOWN;

	if (!sk)
		return UNKNOWN;
	if (sk->state == LISTENING) {
		k = LISTENED;
		if (may_be_cookie && reaches(f->frame, f->l4, sizeof(struct tcphdr)) &&
		    !bpf_tcp_check_syncookie(sk, f->l3, f->ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr),
					     f->l4, sizeof(struct tcphdr)))
			k = KNOWN;
	} else if (sk->state == TIME_WAIT) {
		k = LISTENED; /* the ports' last connection: this may be another's next one */
	}
	bpf_sk_release(sk);
	return k;
}

/* is_ours reports whether a frame is for this host: one that a switch has flooded, or
 * that a bridge or a promiscuous port shows, is for another, and not to be sent on. */
static __always_inline int is_ours(const struct packet *p, const struct target *t)
{
	struct mac mac = {};

	if (same_mac(p->eth->h_dest, t->source) || is_virtual(p->eth->h_dest))
		return 1;
	if (t->ifindex == p->ctx->ingress_ifindex)
		return 0;
	copy_mac(mac.byte, p->eth->h_dest);
	return bpf_map_lookup_elem(&macs, &mac) != NULL;
}

/* forward puts the peer's hardware address on a frame, which leaves by the interface that
 * leads to the peer. */
static __always_inline __u32 forward(const struct packet *p, const struct target *t)
{
	copy_mac(p->eth->h_dest, t->mac);
	copy_mac(p->eth->h_source, t->source);
	if (t->ifindex == p->ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect(t->ifindex, 0);
}

/* send hands a frame to a peer, which answers the client itself. */
static __always_inline outcome send(const struct packet *p, __u32 place, enum reason reason, __u32 service)
{
	const struct target *t;

	if (place >= MAX_TARGETS)
		return credited(pass(PASS_NO_TARGET), service, NOBODY);
	t = target_at(p->ctl, place);
	if (!t->ifindex)
		return credited(pass(PASS_DEAD_TARGET), service, NOBODY); /* the daemon does not know the way yet */
	if (!is_ours(p, t))
		return pass(PASS_OTHER);
	return credited(because(reason, forward(p, t)), service, place);
}

/* tell the daemon, for the peers, what has become of the packet's flow. */
static __always_inline void tell(const struct flow_packet *f, enum event_kind kind, __u32 place, __u32 service)
{
	__u64 news = NEWS(kind, f->proto, place, service);

	if (f->ipv6)
		tell6(f->key, news);
	else
		tell4(f->key, news);
}

/* store remembers a flow, which is new or begun anew. */
static __always_inline void store(const struct flow_packet *f, enum event_kind kind, __u32 place, __u32 service)
{
	struct flow flow = {.target = place, .service = service, .seen = jiffies()};

	if (!bpf_map_update_elem(f->flows, f->key, &flow, BPF_ANY))
		tell(f, kind, place, service);
}

static __always_inline void touch(const struct flow_packet *f, struct flow *flow, __u8 bits)
{
	__u32 now = jiffies();

	if (flow->seen != now) { /* not at every packet: the line stays clean */
		flow->seen = now;
		if (flow->flags & FLOW_REPLICA)
			flow->flags &= FLOW_CLOSING; /* it is this host's own from now on */
	}
	if (bits & (TCP_FIN | TCP_RST) && !(flow->flags & FLOW_CLOSING)) {
		flow->flags |= FLOW_CLOSING;
		tell(f, EVENT_CLOSING, flow->target, flow->service);
	}
}

/* follow sends a packet where its flow is. If that target is dead, this host's stack
 * tells the client so. */
static __always_inline outcome follow(const struct packet *p, const struct flow *flow)
{
	__u32 place = flow->target, service = flow->service;

	if (has(p->ctl, place, TARGET_LOCAL))
		return credited(pass(PASS_LOCAL_FLOW), service, place);
	if (!has(p->ctl, place, TARGET_OLD))
		return credited(pass(PASS_DEAD_TARGET), service, NOBODY);
	return send(p, place, TX_FLOW, service);
}

/* open_tcp places a new connection. flow is what a predecessor of the same addresses
 * and ports has left. As long as its haproxy is there, the SYN is for that to judge:
 * whoever sends SYNs blindly must not move other people's connections. */
static __always_inline outcome open_tcp(const struct flow_packet *f, struct flow *flow)
{
	const struct packet *p = f->frame;
	struct control *ctl = p->ctl;
	__u32 which = ctl->bank, self = ctl->self, place, hash;
	__u64 service = look_up(f, which);
	__u32 id = FOUND_ID(service);

	if (!service)
		return pass(PASS_NO_SERVICE);
	hash = hash_of(f);
	if (flow && has(ctl, flow->target, flow->flags & FLOW_CLOSING ? TARGET_NEW : TARGET_OLD))
		place = flow->target;
	else
		place = choose(which, FOUND_SET(service), hash, NO_TARGET);
	/* A haproxy that has just died listens no more, and nobody has noticed yet. */
	if (place == self && known_here(f, 0) == UNKNOWN)
		place = choose(which, FOUND_SET(service), hash, self);
	if (place == NO_TARGET)
		return credited(pass(PASS_NO_TARGET), id, NOBODY);
	if (flow && (flow->target != place || flow->flags & FLOW_CLOSING)) {
		flow->target = place;
		flow->flags = 0;
		flow->seen = jiffies();
		tell(f, EVENT_MOVED, place, id);
	}
	if (place == self)
		return credited(pass(PASS_LOCAL_NEW), id, place);
	return send(p, place, TX_NEW, id);
}

/* second_chance finds the haproxy of a connection that is not in the table: one that
 * was opened a moment ago, or while another host was Active. First comes what its SYN
 * would have got, then what it would have got before the targets changed. */
static __always_inline outcome second_chance(const struct flow_packet *f, __u8 bits)
{
	const struct packet *p = f->frame;
	__u32 which = p->ctl->bank, self = p->ctl->self, now, before, place, hash;
	enum knowledge known;
	__u64 service = look_up(f, which);
	__u32 id = FOUND_ID(service);

	if (!service)
		return pass(PASS_NO_SERVICE);
	hash = hash_of(f);
	now = choose(which, FOUND_SET(service), hash, NO_TARGET);
	known = known_here(f, now == self);
	if (known == KNOWN) {
		if (!(bits & (TCP_SYN | TCP_FIN | TCP_RST)))
			store(f, EVENT_CREATED, self, id);
		return credited(pass(PASS_LOCAL_SOCKET), id, self);
	}
	/* A peer that has just been drained is in the table for a moment yet. */
	place = named(f, which, service);
	if (place != self && has(p->ctl, place, TARGET_OLD))
		now = place;
	before = named(f, which + 1, look_up(f, which + 1));
	/* The SYN would have stayed here: unless nobody listens, this is an older flow. */
	if (now == self && known == LISTENED && before != self && has(p->ctl, before, TARGET_OLD))
		now = before;
	else if (now == self)
		now = choose(which, FOUND_SET(service), hash, self);
	place = elsewhere(now, before);
	if (place == NO_TARGET)
		return credited(pass(PASS_NO_TARGET), id, NOBODY);
	if (!(bits & (TCP_SYN | TCP_FIN | TCP_RST)))
		store(f, EVENT_CREATED, place, id);
	return send(p, place, TX_SECOND_CHANCE, id);
}

static __always_inline outcome steer_tcp(const struct flow_packet *f)
{
	struct flow *flow = bpf_map_lookup_elem(f->flows, f->key);
	__u8 bits = ((__u8 *)f->l4)[TCP_FLAGS];

	if ((bits & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return open_tcp(f, flow);
	if (!flow)
		return second_chance(f, bits);
	touch(f, flow, bits);
	return follow(f->frame, flow);
}

/* steer_udp: without a handshake the first datagram makes the flow, and one whose
 * target has died is begun anew elsewhere. */
static __always_inline outcome steer_udp(const struct flow_packet *f)
{
	const struct packet *p = f->frame;
	struct flow *flow = bpf_map_lookup_elem(f->flows, f->key);
	__u32 which = p->ctl->bank, place;
	__u64 service;
	__u32 id;

	if (flow && has(p->ctl, flow->target, TARGET_OLD)) {
		touch(f, flow, 0);
		return follow(p, flow);
	}
	service = look_up(f, which);
	id = FOUND_ID(service);
	if (!service)
		return pass(PASS_NO_SERVICE);
	place = choose(which, FOUND_SET(service), hash_of(f), NO_TARGET);
	if (place == NO_TARGET)
		return credited(pass(PASS_NO_TARGET), id, NOBODY);
	store(f, flow ? EVENT_MOVED : EVENT_CREATED, place, id);
	if (place == p->ctl->self)
		return credited(pass(PASS_LOCAL_NEW), id, place);
	return send(p, place, TX_NEW, id);
}

/* steer_error takes an ICMP error to the haproxy whose flow it is about. */
static __always_inline outcome steer_error(const struct flow_packet *f)
{
	const struct packet *p = f->frame;
	struct flow *flow = bpf_map_lookup_elem(f->flows, f->key);
	__u32 which = p->ctl->bank, place;
	__u64 service;
	__u32 id;

	if (flow) {
		place = flow->target;
		id = flow->service;
	} else {
		service = look_up(f, which);
		if (!service)
			return pass(PASS_NO_SERVICE);
		id = FOUND_ID(service);
		if (f->proto == IPPROTO_TCP && known_here(f, 0) == KNOWN)
			return credited(pass(PASS_ICMP_LOCAL), id, p->ctl->self);
		place = choose(which, FOUND_SET(service), hash_of(f), NO_TARGET);
		if (f->proto == IPPROTO_TCP)
			place = elsewhere(place, named(f, which + 1, look_up(f, which + 1)));
	}
	if (place == p->ctl->self)
		return credited(pass(PASS_ICMP_LOCAL), id, place);
	if (!has(p->ctl, place, TARGET_OLD))
		return credited(pass(PASS_ICMP_LOCAL), id, NOBODY);
	return send(p, place, TX_ICMP, id);
}
