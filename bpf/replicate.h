// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Replication: flows that peers have told are written into the tables, hundreds by one
 * system call. The daemon fills the records, runs replicate, and reads the results.
 *
 * The peer's word holds, but for flows that this host is itself responsible for. Of
 * those the younger wins: an entry that has had a packet here, and more recently than
 * at the peer, stays as it is.
 *
 * Packets go on meanwhile. An entry is changed in place by comparing and swapping all of
 * it, so that what they have written in between is seen, and never half of it.
 */
#pragma once

#include <asm-generic/errno-base.h>

#include "maps.h"
#include "packet.h"
#include "services.h"

#define TRIES 4 /* for one record, while packets change the entry */

union entry {
	struct flow flow;
	__u64 word;
};

_Static_assert(sizeof(union entry) == 8, "an entry that is not swapped in one piece");

static __always_inline union entry entry_of(struct flow *flow)
{
	return (union entry){.word = *(volatile __u64 *)flow};
}

static __always_inline int younger(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

/* replica_service is the number that the flow's service has here. */
static __always_inline __u16 replica_service(struct control *ctl, const struct replica *r)
{
	const struct flow4_key *four = (const void *)&r->key;
	__u64 found;

	if (r->ipv6)
		found = find_service6(ctl->bank, &r->key, r->proto);
	else
		found = find_service4(ctl->bank, four->vip, four->vip_port | (__u32)r->proto << 16);
	return found ? FOUND_ID(found) : NO_SERVICE;
}

/* forget deletes a flow that a peer does not have, or that nobody tells any more. */
static __always_inline enum replica_result forget(void *flows, const struct replica *r)
{
	struct flow *flow = bpf_map_lookup_elem(flows, &r->key);
	struct flow was;

	if (!flow)
		return REPLICA_SAME;
	was = entry_of(flow).flow;
	if (r->op == REPLICA_SWEEP && was.flags != r->flags)
		return REPLICA_KEPT;
	if (r->op == REPLICA_GONE && r->own && !(was.flags & FLOW_REPLICA))
		return REPLICA_KEPT;
	return bpf_map_delete_elem(flows, &r->key) ? REPLICA_SAME : REPLICA_REMOVED;
}

/* stamp is one for a time ago, and never this very jiffy's: the next packet here has to
 * leave a mark. */
static __always_inline __u32 stamp(__u32 ago)
{
	return jiffies() - (ago ? ago : 1);
}

/* write brings an entry to what the peer says. */
static __always_inline enum replica_result write(void *flows, const struct replica *r, union entry told)
{
	AS_LOOP
	for (int i = 0; i < TRIES; i++) {
		struct flow *flow = bpf_map_lookup_elem(flows, &r->key);
		union entry was, next = told;
		long err;

		if (!flow) {
			err = bpf_map_update_elem(flows, &r->key, &told.flow, BPF_NOEXIST);
			if (!err)
				return REPLICA_ADDED;
			if (err == -EEXIST)
				continue; /* a packet was quicker */
			return REPLICA_FAILED;
		}
		was = entry_of(flow);
		if (younger(was.flow.seen, told.flow.seen)) {
			if (r->own && !(was.flow.flags & FLOW_REPLICA))
				return REPLICA_KEPT;
			/* Ages travel in whole seconds: none grows by being told. */
			next.flow.seen = younger(was.flow.seen, stamp(0)) ? stamp(0) : was.flow.seen;
		}
		if (__sync_val_compare_and_swap((__u64 *)flow, was.word, next.word) != was.word)
			continue;
		if (was.flow.target == next.flow.target && !((was.flow.flags ^ next.flow.flags) & FLOW_CLOSING))
			return REPLICA_SAME;
		return REPLICA_ALTERED;
	}
	return REPLICA_KEPT; /* packets of it come here all the time */
}

static __always_inline __u8 carry_out(void *flows, const struct replica *r, union entry told)
{
	return r->op == REPLICA_TELL ? write(flows, r, told) : forget(flows, r);
}

static long replicate_record(__u32 at, void *unused)
{
	struct replica *r = bpf_map_lookup_elem(&replicas, &at);
	struct control *ctl = controls();
	union entry told = {};

	if (!r || !ctl)
		return 1;
	if (r->op == REPLICA_TELL) {
		told.flow.target = r->target;
		told.flow.flags = r->flags | FLOW_REPLICA;
		told.flow.service = replica_service(ctl, r);
		told.flow.seen = stamp(r->idle);
	}
	if (r->proto == IPPROTO_UDP)
		r->result = r->ipv6 ? carry_out(&udp6, r, told) : carry_out(&udp4, r, told);
	else
		r->result = r->ipv6 ? carry_out(&tcp6, r, told) : carry_out(&tcp4, r, told);
	return 0;
}

SEC("syscall")
int replicate(struct replicate_args *args)
{
	__u32 records = args->records;

	if (records > REPLICA_BATCH)
		records = REPLICA_BATCH;
	bpf_loop(records, replicate_record, 0, 0);
	return 0;
}
