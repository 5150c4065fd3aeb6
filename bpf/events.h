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

/* new_event makes room for one. Not inlined, for Go's types are generated from those that
 * functions of the object have. */
static __noinline struct event *new_event(__u64 news)
{
	__u32 zero = 0;
	struct listener *l = bpf_map_lookup_elem(&listener, &zero);
	struct event *e;

	if (!l || !l->on)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&l->lost, 1);
		return 0;
	}
	e->kind = news;
	e->proto = news >> 8;
	e->target = news >> 16;
	e->service = news >> 32;
	e->pad = 0;
	return e;
}

/* Apart from the rest, since they are rare: the way of most packets stays short. */
__noinline int tell4(const struct flow4_key *key, __u64 news)
{
	struct event *e;

	if (!key)
		return 0;
	e = new_event(news);
	if (!e)
		return 0;
	e->ipv6 = 0;
	*(struct flow4_key *)&e->key = *key;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

__noinline int tell6(const struct flow6_key *key, __u64 news)
{
	struct event *e;

	if (!key)
		return 0;
	e = new_event(news);
	if (!e)
		return 0;
	e->ipv6 = 1;
	e->key = *key;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}
