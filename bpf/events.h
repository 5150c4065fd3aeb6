// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Events: what has become of a flow, for the daemon to tell the peers. They are put into
 * a ring that it looks at every few milliseconds: nobody is woken. With the ring full
 * they are counted, and the daemon begins again from the tables.
 */
#pragma once

#include "maps.h"
#include "packet.h"

/* News is an event without its key. */
#define NEWS(kind, proto, place, service) \
	((__u64)(kind) | (__u64)(proto) << 8 | (__u64)(__u8)(place) << 16 | (__u64)(service) << 32)

/* reserve_event makes room for one, if anybody wants it. The caller tests what it returns,
 * and nobody else does: see bpf/README.md on records tested twice. */
static __always_inline struct event *reserve_event(void)
{
	__u32 zero = 0;
	struct listener *l = bpf_map_lookup_elem(&listener, &zero);
	struct event *e;

	if (!l || !l->on)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		__sync_fetch_and_add(&l->lost, 1);
	return e;
}

/* fill_event is not inlined: Go's types are generated from those that functions of the
 * object have. */
static __noinline void fill_event(struct event *e, __u64 news)
{
	e->kind = news;
	e->proto = news >> 8;
	e->target = news >> 16;
	e->service = news >> 32;
	e->pad = 0;
}

/* Apart from the rest, since they are rare: the way of most packets stays short. */
static __noinline int tell4(const struct flow4_key *key, __u64 news)
{
	struct event *e;

	e = reserve_event();
	if (!e)
		return 0;
	fill_event(e, news);
	e->ipv6 = 0;
	*(struct flow4_key *)&e->key = *key;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

static __noinline int tell6(const struct flow6_key *key, __u64 news)
{
	struct event *e;

	e = reserve_event();
	if (!e)
		return 0;
	fill_event(e, news);
	e->ipv6 = 1;
	e->key = *key;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}
