// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which service a packet is for, and which target takes a new flow of it.
 *
 * Functions with loops are apart from the rest (global, not inlined): the verifier
 * then goes through each of them once, and not again for every way that leads there.
 */
#pragma once

#include "hash.h"
#include "maps.h"
#include "packet.h"

#define CHOICES 8 /* slots of a table that are tried for one flow */

/* A service that was found: its set, its id, and that it was found. */
#define FOUND (1ull << 32)
#define FOUND_SET(found) ((__u16)(found))
#define FOUND_ID(found) ((__u16)((found) >> 16))

static __always_inline struct control *controls(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&control, &zero);
}

static __always_inline struct steering *bank(__u32 which)
{
	which &= 1;
	return bpf_map_lookup_elem(&steering, &which);
}

/* find_service4 looks into one of the banks; port_proto is port | proto << 16. */
__noinline __u64 find_service4(__u32 which, __be32 vip, __u32 port_proto)
{
	struct steering *st = bank(which);
	__be16 port = port_proto;
	__u8 proto = port_proto >> 16;
	__u32 at = service_hash(vip, port, proto);

	if (!st)
		return 0;
	AS_LOOP
	for (int i = 0; i < SERVICE_PROBES; i++) {
		struct service4 *s = &st->service4[(at + i) & (SERVICE_SLOTS - 1)];

		if (!s->proto)
			return 0;
		if (s->vip == vip && s->port == port && s->proto == proto)
			return FOUND | s->set | (__u32)s->id << 16;
	}
	return 0;
}

static __noinline __u64 find_service6(__u32 which, const struct flow6_key *key, __u32 proto)
{
	struct steering *st = bank(which);
	__u32 at;

	if (!st)
		return 0;
	at = service_hash(fold6(key->vip), key->vip_port, proto);
	AS_LOOP
	for (int i = 0; i < SERVICE_PROBES; i++) {
		struct service6 *s = &st->service6[(at + i) & (SERVICE_SLOTS - 1)];

		if (!s->proto)
			return 0;
		if (s->vip[0] == key->vip[0] && s->vip[1] == key->vip[1] && s->vip[2] == key->vip[2] &&
		    s->vip[3] == key->vip[3] && s->port == key->vip_port && s->proto == (__u8)proto)
			return FOUND | s->set | (__u32)s->id << 16;
	}
	return 0;
}

/* target_at is the target in a slot below MAX_TARGETS. */
static __always_inline const struct target *target_at(const struct control *ctl, __u32 place)
{
	return &ctl->target[masked(place, MAX_TARGETS)];
}

/* has tells whether a target has all of these flags; a place that no target has, has
 * none. */
static __always_inline int has(const struct control *ctl, __u32 place, __u8 flags)
{
	return place < MAX_TARGETS && (target_at(ctl, place)->flags & flags) == flags;
}

/* table_choice is a table's word on a flow, whoever that is. */
static __always_inline __u32 table_choice(const struct steering *st, __u32 set, __u32 hash)
{
	__u32 slot = table_slot(hash);

	if (set >= MAX_SETS || slot >= TABLE_SIZE)
		return NO_TARGET;
	return st->table[masked(set, MAX_SETS)][masked(slot, TABLE_ROW)];
}

/* choose finds a target for a new flow. A table may still name one that has just
 * died: then the flow goes where its next slots point. except is not chosen. */
__noinline __u32 choose(__u32 which, __u32 set, __u32 hash, __u32 except)
{
	struct control *ctl = controls();
	struct steering *st = bank(which);

	if (!ctl || !st || set >= MAX_SETS)
		return NO_TARGET;
	AS_LOOP
	for (int i = 0; i < CHOICES; i++) {
		__u32 place = table_choice(st, set, hash);

		if (place != except && has(ctl, place, TARGET_NEW))
			return place;
		hash = mix(hash + GOLDEN);
	}
	/* Unlikely: whoever is healthy can do no worse than nobody. */
	AS_LOOP
	for (__u32 i = 0; i < MAX_TARGETS; i++)
		if (i != except && has(ctl, i, TARGET_NEW))
			return i;
	return NO_TARGET;
}

/* elsewhere finds a flow that this host does not know: the peer that the table in
 * force names, or else the one that the table before named, or else any that is
 * alive. With one peer that is always right. */
__noinline __u32 elsewhere(__u32 now, __u32 before)
{
	struct control *ctl = controls();
	__u32 self;

	if (!ctl)
		return NO_TARGET;
	self = ctl->self;
	if (now != self && has(ctl, now, TARGET_OLD))
		return now;
	if (before != self && has(ctl, before, TARGET_OLD))
		return before;
	AS_LOOP
	for (__u32 i = 0; i < MAX_TARGETS; i++)
		if (i != self && has(ctl, i, TARGET_OLD))
			return i;
	return NO_TARGET;
}
