// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Legs: whether what a peer's program sends on arrives at this host.
 *
 * The program of a peer may run, and its frames still be lost: in a veth pair whose far
 * end has no program, at a switch that drops a foreign source address, behind a firewall.
 * S-BFD does not show it, since its replies have the peer's own address. So this host
 * sends the peer a probe that the peer's program treats as it would a flow of this
 * host's: it gets the hardware addresses, keeps the IP addresses, and leaves by the same
 * interface. What comes back has passed whatever a client's packets have to pass.
 *
 *	this host ── probe ──> peer: forward_leg ── as a flow ──> this host: note_return
 *
 * It is an S-BFD probe to a second discriminator of the host (RFC 7880 section 3 lets a
 * node have several), so that whoever lets S-BFD through lets it through too.
 */
#pragma once

#include "bfd.h"
#include "count.h"
#include "steer.h"

static __always_inline struct leg *leg_of(const struct address *peer_address)
{
	struct peer *peer = bpf_map_lookup_elem(&peers, peer_address);
	__u32 slot;

	if (!peer)
		return NULL;
	slot = peer->slot;
	return bpf_map_lookup_elem(&legs, &slot);
}

/* forward_leg sends a peer's probe back by the way that its flows would take. The peer is
 * known by its hardware address: it may probe by several IP addresses. */
static __always_inline outcome forward_leg(const struct packet *p, const struct probe *probe)
{
	struct leg *leg = leg_of(&probe->from);

	AS_LOOP
	for (__u32 i = 0; i < MAX_TARGETS; i++) {
		const struct target *t = &p->ctl->target[i];

		if (!t->ifindex || !same_mac(t->mac, p->eth->h_source))
			continue;
		if (leg)
			__sync_fetch_and_add(&leg->forwarded, 1);
		return because(LEG_FORWARDED, forward(p, t));
	}
	return drop(SBFD_SOURCE); /* no flow would be sent there */
}

/* note_return takes note of a probe that is back. Nothing else that is for another host
 * is any business of this program. */
static __always_inline outcome note_return(const struct packet *p, struct probe *probe)
{
	struct leg *leg;
	__u32 sequence;

	if (!bpf_map_lookup_elem(&locals, &probe->from))
		return pass(PASS_OTHER);
	leg = leg_of(&probe->to);
	if (!leg)
		return pass(PASS_OTHER);
	if (probe->ttl != SBFD_TTL_SENT)
		return drop(SBFD_TTL);
	if (!find_bfd(p, probe))
		return drop(SBFD_MALFORMED);
	sequence = bpf_ntohl(probe->bfd->mine);
	if (leg->sent - sequence >= REPLY_WINDOW)
		return drop(SBFD_REPLY_UNKNOWN);
	leg->returned = sequence;
	return drop(LEG_RETURNED);
}
