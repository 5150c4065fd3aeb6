// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the data path's costs are measured with; see test/program/cost. Never attached.
 *
 *   test-run -> vary -> tail call -> hafast, or nothing, or a floor
 *
 * A test-run repeats a program on one frame, which keeps what was written to it. vary
 * puts the frame back each time and gives it a client; with nothing called, it measures
 * itself. A floor does only the look-ups that a case cannot do without, on the data
 * path's own maps, believing whatever it reads.
 */
#include "count.h"
#include "gate.h"
#include "packet.h"
#include "steer.h"

#define FRAME 88 /* room for S-BFD over IPv6; a multiple of 8 */

/* What vary is to make. */
struct recipe {
	__u64 frame[FRAME / 8];
	__u32 first;   /* the last word of the first client's address, in host order */
	__u32 clients; /* how many, with consecutive addresses */
	__u32 in_turn; /* 1: one after the other; 0: at random */
	__u32 ipv6;
	__u32 state; /* how far it is; not 0 for random */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct recipe);
} recipes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} callee SEC(".maps");

static __always_inline __u32 next(struct recipe *r)
{
	__u32 x = r->state;

	if (r->in_turn) {
		r->state = x + 1 < r->clients ? x + 1 : 0;
		return x;
	}
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	r->state = x;
	return ((__u64)x * r->clients) >> 32;
}

SEC("xdp.frags")
int vary(struct xdp_md *ctx)
{
	__u64 *frame = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	struct recipe *r = bpf_map_lookup_elem(&recipes, &zero);
	__be32 client;

	if (!r || (void *)frame + FRAME > end)
		return XDP_ABORTED;
	for (int i = 0; i < FRAME / 8; i++)
		frame[i] = r->frame[i];
	client = bpf_htonl(r->first + next(r));
	if (r->ipv6)
		*(__be32 *)((void *)frame + sizeof(struct ethhdr) + 20) = client;
	else
		*(__be32 *)((void *)frame + sizeof(struct ethhdr) + 12) = client;
	bpf_tail_call(ctx, &callee, 0);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int nothing(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* What a floor does. */
enum step {
	FILTER = 1, /* ask whether this may be for a VIP */
	FLOW = 2,   /* look the flow up */
	STEER = 4,  /* a service's first place, a table's slot */
	SOCKET = 8, /* look the socket up */
	STORE = 16, /* store the flow */
	SEND = 32,  /* put in hardware addresses */
	PROBE = 64, /* S-BFD: own address, peer, session, clock */
};

static __always_inline int ground(struct xdp_md *ctx, int ipv6, int steps)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct iphdr *ip4 = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct ports *ports = ipv6 ? (void *)(ip6 + 1) : (void *)(ip4 + 1);
	struct control *ctl = controls();
	void *flows = ipv6 ? (void *)&tcp6 : (void *)&tcp4;
	struct flow6_key key6 = {};
	struct flow4_key key4 = {};
	void *key = ipv6 ? (void *)&key6 : (void *)&key4;
	__u32 place = 0, folded;

	if (!ctl || (void *)(ports + 5) > end || eth->h_proto != (ipv6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP)))
		return XDP_ABORTED;
	if (ipv6) {
		copy_ipv6(key6.client, &ip6->saddr);
		copy_ipv6(key6.vip, &ip6->daddr);
		key6.client_port = ports->source;
		key6.vip_port = ports->dest;
		folded = fold6(key6.vip);
	} else {
		key4.client = ip4->saddr;
		key4.vip = ip4->daddr;
		key4.client_port = ports->source;
		key4.vip_port = ports->dest;
		folded = key4.vip;
	}
	if (steps & FILTER && !maybe_vip(ctl, folded))
		return count(ctx, pass(PASS_OTHER));
	if (steps & PROBE) {
		struct address from, to;
		struct session *s;

		if (ipv6) {
			copy_ipv6(from.word, &ip6->saddr);
			copy_ipv6(to.word, &ip6->daddr);
		} else {
			map_ipv4(&from, ip4->saddr);
			map_ipv4(&to, ip4->daddr);
		}
		struct peer *peer = bpf_map_lookup_elem(&peers, &from);

		if (!peer || !bpf_map_lookup_elem(&locals, &to))
			return XDP_ABORTED;
		place = peer->slot;
		s = bpf_map_lookup_elem(&sessions, &place);
		if (!s)
			return XDP_ABORTED;
		s->window = bpf_ktime_get_ns() >> 24;
		return count(ctx, because(SBFD_REFLECTED, XDP_TX));
	}
	if (steps & FLOW) {
		struct flow *flow = bpf_map_lookup_elem(flows, key);

		if (flow)
			place = flow->target;
	}
	if (steps & STEER) {
		struct steering *st = bank(ctl->bank);
		__u32 at = service_hash(folded, ports->dest, IPPROTO_TCP);
		__u32 hash = ipv6 ? flow_hash(fold6(key6.client), folded, *(__u32 *)ports) :
				    flow_hash(key4.client, folded, *(__u32 *)ports);
		__u32 set;

		if (!st)
			return XDP_ABORTED;
		set = ipv6 ? st->service6[at & (SERVICE_SLOTS - 1)].set : st->service4[at & (SERVICE_SLOTS - 1)].set;
		place = table_choice(st, set, hash);
	}
	if (steps & SOCKET) {
		struct bpf_sock *sk = bpf_skc_lookup_tcp(ctx, key, ipv6 ? sizeof(key6) : sizeof(key4), BPF_F_CURRENT_NETNS, 0);

		if (sk)
			bpf_sk_release(sk);
	}
	if (steps & STORE) {
		struct flow flow = {.target = place};

		bpf_map_update_elem(flows, key, &flow, BPF_ANY);
	}
	if (!(steps & SEND))
		return count(ctx, pass(PASS_LOCAL_FLOW));
	copy_mac(eth->h_dest, target_at(ctl, place)->mac);
	copy_mac(eth->h_source, target_at(ctl, place)->source);
	return count(ctx, because(TX_FLOW, XDP_TX));
}

/* Laid out by hand: what follows a pasted name looks like a product to clang-format. */
/* clang-format off */
#define FLOOR(name, steps)                                                    \
	SEC("xdp.frags") int name##4(struct xdp_md *ctx)                      \
	{                                                                     \
		return ground(ctx, 0, steps);                                 \
	}                                                                     \
	SEC("xdp.frags") int name##6(struct xdp_md *ctx)                      \
	{                                                                     \
		return ground(ctx, 1, steps);                                 \
	}
/* clang-format on */

FLOOR(other, FILTER)
FLOOR(here, FILTER | FLOW)
FLOOR(there, FILTER | FLOW | SEND)
FLOOR(syn, FILTER | FLOW | STEER | SEND)
FLOOR(syn_here, FILTER | FLOW | STEER | SOCKET)
FLOOR(second, FILTER | FLOW | STEER | SOCKET | SEND)
FLOOR(second_here, FILTER | FLOW | SOCKET)
FLOOR(stored, FILTER | FLOW | STEER | SOCKET | STORE | SEND)
FLOOR(probe, PROBE)

char _license[] SEC("license") = "Dual BSD/GPL";
