// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Runs the hashes of bpf/hash.h on the words of a packet, for hash_test.go. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "hash.h"

struct question {
	__be32 client[4];
	__be32 vip[4];
	__be16 client_port;
	__be16 vip_port;
	__u8 proto;
	__u8 ipv6;
	__u8 pad[2];
	/* answers */
	__u32 address;
	__u32 service;
	__u32 flow;
	__u32 slot;
};

SEC("xdp")
int hashes(struct xdp_md *ctx)
{
	struct question *q = (void *)(long)ctx->data;
	__u32 client, vip;

	if ((void *)(q + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	client = q->ipv6 ? fold6(q->client) : q->client[0];
	vip = q->ipv6 ? fold6(q->vip) : q->vip[0];
	q->address = address_hash(vip);
	q->service = service_hash(vip, q->vip_port, q->proto);
	q->flow = flow_hash(client, vip, q->client_port | (__u32)q->vip_port << 16);
	q->slot = table_slot(q->flow);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
