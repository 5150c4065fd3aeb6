// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Seamless BFD (RFC 7880, RFC 7881) without a wake-up of userspace: probes are
 * answered here, and the answers to our own are noted here.
 *
 * The reflector speaks for the whole host: Up while the daemon renews its lease and
 * is in service, AdminDown otherwise. A reflector that stayed Up beside a stopped
 * daemon would vouch for the dead.
 */
#pragma once

#include "count.h"
#include "gate.h"
#include "leg.h"
#include "packet.h"

#define DIAG_ADMIN_DOWN 7

/* within_rate bounds what a peer, or whoever poses as one, can have answered. The
 * counts are not atomic: processors that meet here may let a few more through. */
static __always_inline int within_rate(const struct control *ctl, struct session *s, __u64 now)
{
	__u64 window = now >> 24;

	if (s->window != window) {
		s->window = window;
		s->answered = 0;
	}
	return s->answered++ < ctl->reflect_limit;
}

/* half16 folds what is put in place of a 16-bit word into a checksum (RFC 1624). */
static __always_inline __u32 half16(__u32 sum, __u16 old, __u16 new)
{
	return sum + (__u16)~old + new;
}

static __always_inline __u32 half32(__u32 sum, __u32 old, __u32 new)
{
	return half16(half16(sum, old, new), old >> 16, new >> 16);
}

/* turn makes the answer of a probe. What is swapped leaves the checksum alone. */
static __always_inline void turn(const struct control *ctl, struct probe *probe, int up)
{
	struct bfd *bfd = probe->bfd;
	struct bfd was = *bfd;
	struct udphdr *udp = probe->udp;
	__be16 port = udp->source;
	__u16 first_was, first;
	__u32 sum;

	udp->source = udp->dest;
	udp->dest = port;
	bfd->mine = was.yours;
	bfd->yours = was.mine;
	bfd->version_diag = 1 << 5 | (up ? 0 : DIAG_ADMIN_DOWN);
	bfd->state_flags = (up ? BFD_UP : BFD_ADMIN_DOWN) << 6 | (was.state_flags & BFD_POLL ? BFD_FINAL : 0);
	bfd->min_rx = bpf_htonl(ctl->min_rx);
	bfd->min_echo_rx = 0;

	if (!udp->check)
		return; /* IPv4 without a checksum stays so */
	__builtin_memcpy(&first_was, &was, sizeof(first_was));
	__builtin_memcpy(&first, bfd, sizeof(first));
	sum = (__u16)~udp->check;
	sum = half16(sum, first_was, first);
	sum = half32(sum, was.min_rx, bfd->min_rx);
	sum = half32(sum, was.min_echo_rx, 0);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	udp->check = ~sum;
	if (!udp->check)
		udp->check = 0xffff;
}

static __always_inline struct session *session_of(const struct address *from)
{
	struct peer *peer = bpf_map_lookup_elem(&peers, from);
	__u32 slot;

	if (!peer)
		return NULL;
	slot = peer->slot;
	return bpf_map_lookup_elem(&sessions, &slot);
}

/* reflect answers a probe (RFC 7881 section 4, RFC 7880 section 7.2.2). It returns
 * 1 when the caller has only to turn the headers below around. */
static __always_inline int reflect(const struct packet *p, struct probe *probe, outcome *result)
{
	struct local *local = bpf_map_lookup_elem(&locals, &probe->to);
	struct session *session;
	__u64 now;

	if (!local)
		return *result = note_return(p, probe), 0;
	if (probe->ttl != SBFD_TTL_SENT)
		return *result = drop(SBFD_TTL), 0;
	if (probe->udp->source == bpf_htons(SBFD_PORT))
		return *result = drop(SBFD_SOURCE), 0;
	if (!find_bfd(p, probe))
		return *result = drop(SBFD_MALFORMED), 0;
	if (!(probe->bfd->state_flags & BFD_DEMAND))
		return *result = drop(SBFD_LOOP), 0;
	session = session_of(&probe->from);
	if (!session)
		return *result = drop(SBFD_SOURCE), 0;
	now = bpf_ktime_get_ns();
	if (!within_rate(p->ctl, session, now))
		return *result = drop(SBFD_RATE), 0;
	if (probe->bfd->yours == bpf_htonl(local->discriminator + LEG_DISCRIMINATOR))
		return *result = forward_leg(p, probe), 0;
	if (probe->bfd->yours != bpf_htonl(local->discriminator))
		return *result = drop(SBFD_DISCRIMINATOR), 0;
	turn(p->ctl, probe, p->ctl->serving && now < p->ctl->lease);
	*result = because(SBFD_REFLECTED, XDP_TX);
	return 1;
}

/* note_reply leaves a reply where the prober looks for it. */
static __always_inline outcome note_reply(const struct packet *p, struct probe *probe)
{
	struct session *session;
	__u32 sequence;

	if (!bpf_map_lookup_elem(&locals, &probe->to))
		return pass(PASS_OTHER);
	if (probe->ttl != SBFD_TTL_SENT)
		return drop(SBFD_TTL);
	if (!find_bfd(p, probe))
		return drop(SBFD_MALFORMED);
	if (probe->bfd->state_flags & BFD_DEMAND)
		return drop(SBFD_LOOP); /* a probe that came to the wrong port */
	session = session_of(&probe->from);
	if (!session)
		return drop(SBFD_SOURCE);
	sequence = bpf_ntohl(probe->bfd->yours);
	if (!sequence || session->sent - sequence >= REPLY_WINDOW)
		return drop(SBFD_REPLY_UNKNOWN);
	session->reply_at = bpf_ktime_get_ns();
	session->replies++;
	session->reply = (__u64)sequence << 32 | probe->bfd->state_flags >> 6; /* at last: the prober reads it first */
	return drop(SBFD_REPLY);
}

static __always_inline void turn_ethernet(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	copy_mac(mac, eth->h_dest);
	copy_mac(eth->h_dest, eth->h_source);
	copy_mac(eth->h_source, mac);
}

/* sbfd_port tells whether a datagram is S-BFD's business: 1 for a probe, 2 for a
 * reply to this host. */
static __always_inline int sbfd_port(const struct control *ctl, const struct udphdr *udp)
{
	if (udp->dest == bpf_htons(SBFD_PORT))
		return 1;
	if (udp->source == bpf_htons(SBFD_PORT) && ctl->probe_port && udp->dest == bpf_htons(ctl->probe_port))
		return 2;
	return 0;
}

static __always_inline outcome handle_sbfd4(const struct packet *p, struct iphdr *ip, struct udphdr *udp, __u32 room, int kind)
{
	struct probe probe = {.udp = udp, .room = room, .ttl = ip->ttl};
	outcome result;
	__be32 address;

	map_ipv4(&probe.from, ip->saddr);
	map_ipv4(&probe.to, ip->daddr);
	if (kind == 2)
		return note_reply(p, &probe);
	if (!reflect(p, &probe, &result))
		return result;
	address = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = address;
	turn_ethernet(p->eth);
	return result;
}

static __always_inline outcome handle_sbfd6(const struct packet *p, struct ipv6hdr *ip, struct udphdr *udp, __u32 room, int kind)
{
	struct probe probe = {.udp = udp, .room = room, .ttl = ip->hop_limit, .needs_checksum = 1};
	struct in6_addr address;
	outcome result;

	copy_ipv6(probe.from.word, &ip->saddr);
	copy_ipv6(probe.to.word, &ip->daddr);
	if (kind == 2)
		return note_reply(p, &probe);
	if (!reflect(p, &probe, &result))
		return result;
	address = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = address;
	turn_ethernet(p->eth);
	return result;
}
