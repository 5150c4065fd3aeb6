// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Every packet is counted once, for the reason it went where it went, and those of a
 * service once more, for who has got them. An outcome carries all that and the verdict
 * back to the one place that counts:
 *
 *	bits 0-7 verdict, 8-15 reason, 16-20 who, 21 of a service, 32-63 service
 */
#pragma once

#include "maps.h"

typedef __u64 outcome;

#define NOBODY MAX_TARGETS /* in place of a target's place */
#define CREDITED (1 << 21)

#define ONE_PIECE 1024 /* the first buffer of a frame in several holds more than this */

static __always_inline outcome because(enum reason reason, __u32 verdict)
{
	return (__u64)reason << 8 | verdict;
}

static __always_inline outcome pass(enum reason reason)
{
	return because(reason, XDP_PASS);
}

static __always_inline outcome drop(enum reason reason)
{
	return because(reason, XDP_DROP);
}

/* credited says whose service the packet is, and what place, up to NOBODY, has got it. */
static __always_inline outcome credited(outcome o, __u32 service, __u32 place)
{
	return o | (__u64)service << 32 | CREDITED | place << 16;
}

/* frames_in_pieces: the kernel has frames in several buffers, and the helper that knows
 * their length (Linux 5.18). Set by the daemon before it loads the program: the verifier
 * of an older kernel then never sees the call. */
const volatile __u8 frames_in_pieces = 1;

/* frame_size asks the kernel only where that may know of more than can be read here. */
static __always_inline __u64 frame_size(struct xdp_md *ctx)
{
	__u64 size = (__u64)ctx->data_end - ctx->data;

	return frames_in_pieces && size > ONE_PIECE ? bpf_xdp_get_buff_len(ctx) : size;
}

static __always_inline void credit(struct xdp_md *ctx, outcome o)
{
	__u32 id = o >> 32;
	struct traffic *traffic = bpf_map_lookup_elem(&traffics, &id);
	struct tally *tally;

	if (!traffic) {
		id = TRAFFIC_SERVICES;
		traffic = bpf_map_lookup_elem(&traffics, &id);
		if (!traffic)
			return;
	}
	tally = o & (NOBODY << 16) ? &traffic->nobody : &traffic->target[o >> 16 & (MAX_TARGETS - 1)];
	tally->packets++;
	tally->bytes += frame_size(ctx);
}

static __always_inline int count(struct xdp_md *ctx, outcome o)
{
	__u32 zero = 0;
	struct counters *c = bpf_map_lookup_elem(&counters, &zero);

	if (c)
		c->packets[o >> 8 & (REASON_SLOTS - 1)]++;
	if (o & CREDITED)
		credit(ctx, o);
	return o & 0xff;
}
