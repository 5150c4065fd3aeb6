// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The gate: who asks for a VIP's hardware address is answered by this host only
 * while it is Active for the VIP and its daemon renews the lease. A daemon that is
 * killed, stopped or stuck loses the VIP by the clock, not by its own doing.
 */
#pragma once

#include "count.h"
#include "hash.h"
#include "packet.h"

static __always_inline int lease_holds(const struct control *ctl)
{
	return bpf_ktime_get_ns() < ctl->lease;
}

static __always_inline int maybe_vip(const struct control *ctl, __u32 folded)
{
	__u32 bit = address_hash(folded);

	return (ctl->filter[(bit >> 6) & (FILTER_BITS / 64 - 1)] >> (bit & 63)) & 1;
}

/* ask_gate decides on a request for the hardware address of target. */
static __always_inline outcome ask_gate(const struct control *ctl, const struct address *target)
{
	struct vip *vip = bpf_map_lookup_elem(&vips, target);

	if (!vip)
		return pass(PASS_OTHER);
	if (vip->gate >= MAX_GATES || !ctl->open[vip->gate])
		return drop(DROP_ARP_BACKUP);
	if (!lease_holds(ctl))
		return drop(DROP_ARP_LEASE);
	return pass(PASS_ARP_ACTIVE);
}

static __always_inline outcome handle_arp(const struct packet *p)
{
	const struct arp_ipv4 *arp = p->l3;
	struct address target;
	__be32 asked, sender;

	if (!reaches(p, arp, sizeof(*arp)))
		return pass(PASS_TRUNCATED);
	if (arp->protocol != bpf_htons(ETH_P_IP) || arp->hardware_size != ETH_ALEN || arp->protocol_size != 4)
		return pass(PASS_OTHER);
	if (arp->operation == bpf_htons(ARP_REPLY)) {
		__builtin_memcpy(&sender, arp->sender, sizeof(sender));
		if (sender && sender == p->ctl->witness) {
			__u32 zero = 0;
			struct witness *w = bpf_map_lookup_elem(&witness, &zero);

			if (w)
				__sync_fetch_and_add(&w->replies, 1);
		}
		return pass(PASS_OTHER);
	}
	__builtin_memcpy(&asked, arp->target, sizeof(asked));
	if (arp->operation != bpf_htons(ARP_REQUEST) || !maybe_vip(p->ctl, asked))
		return pass(PASS_OTHER);
	map_ipv4(&target, asked);
	return ask_gate(p->ctl, &target);
}

static __always_inline outcome handle_solicit(const struct packet *p, const void *l4)
{
	const struct neighbor_solicit *ns = l4;
	struct address target;

	if (!reaches(p, ns, sizeof(*ns)))
		return pass(PASS_TRUNCATED);
	copy_ipv6(target.word, &ns->target);
	if (!maybe_vip(p->ctl, fold6(target.word)))
		return pass(PASS_OTHER);
	return ask_gate(p->ctl, &target);
}
