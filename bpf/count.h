/* Every packet is counted once, for the reason it went where it went. An outcome
 * carries the reason and the verdict back to the one place that counts.
 */
#pragma once

#include "maps.h"

typedef __u32 outcome;

static __always_inline outcome because(enum reason reason, __u32 verdict)
{
	return (__u32)reason << 8 | verdict;
}

static __always_inline outcome pass(enum reason reason)
{
	return because(reason, XDP_PASS);
}

static __always_inline outcome drop(enum reason reason)
{
	return because(reason, XDP_DROP);
}

static __always_inline int count(outcome o)
{
	__u32 zero = 0;
	struct counters *c = bpf_map_lookup_elem(&counters, &zero);

	if (c)
		c->packets[o >> 8 & (REASON_SLOTS - 1)]++;
	return o & 0xff;
}
