// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Hashes that the program and the daemon must agree on. Words are as they lie in
 * the packet, loaded on a little-endian machine. pkg/loader has the same in Go, and
 * a test that holds them together.
 */
#pragma once

#include "abi.h"

#define GOLDEN 0x9e3779b1u

static __always_inline __u32 mix(__u32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6bu;
	h ^= h >> 13;
	h *= 0xc2b2ae35u;
	h ^= h >> 16;
	return h;
}

static __always_inline __u32 fold6(const __be32 a[4])
{
	return (((a[0] * GOLDEN ^ a[1]) * GOLDEN ^ a[2]) * GOLDEN) ^ a[3];
}

/* address_hash is a bit of control.filter. */
static __always_inline __u32 address_hash(__u32 folded)
{
	return (folded * GOLDEN) >> 16;
}

/* service_hash is the first place of a service in its table. folded is the IPv4
 * address, or fold6 of the IPv6 one; port is as in the packet. */
static __always_inline __u32 service_hash(__u32 folded, __be16 port, __u8 proto)
{
	/* Addresses of a network and ports differ in the same few bits: the product moves
	 * the ports' out of the way. */
	return mix(folded ^ ((__u32)proto << 16 | port) * GOLDEN) & (SERVICE_SLOTS - 1);
}

/* flow_hash spreads flows over the slots of a Maglev table. ports is client_port |
 * vip_port << 16, both as in the packet. */
static __always_inline __u32 flow_hash(__u32 client, __u32 vip, __u32 ports)
{
	return mix(mix(client ^ vip * GOLDEN) + ports);
}

/* table_slot brings a hash down to the size of a table without a division. */
static __always_inline __u32 table_slot(__u32 hash)
{
	return ((__u64)hash * TABLE_SIZE) >> 32;
}
