// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Headers, and reading them within bounds. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

/* AS_LOOP keeps a loop from being written out turn by turn: small code stays in the
 * cache. */
#define AS_LOOP _Pragma("clang loop unroll(disable)")

#define IP_PLAIN 0x45        /* first byte: version 4, no options */
#define IP_FRAGMENTED 0x3fff /* more fragments, or an offset */
#define VLAN_ID 0x0fff       /* of a tag; 0: the frame is in no VLAN */

/* packet is a frame on its way through the program. */
struct packet {
	struct xdp_md *ctx;
	struct control *ctl;
	struct ethhdr *eth;
	void *l3;
	void *end;
};

/* reaches tells whether size bytes from at are there. */
static __always_inline int reaches(const struct packet *p, const void *at, __u64 size)
{
	return at + size <= p->end;
}

struct vlan_tag {
	__be16 tci;
	__be16 type;
};

struct arp_ipv4 {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_size;
	__u8 protocol_size;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender[4];
	__u8 target_mac[6];
	__u8 target[4];
};

#define ARP_REQUEST 1
#define ARP_REPLY 2

struct icmp_error {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 unused;
};

/* Errors that quote the packet they are about (RFC 792, RFC 4443). */
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER 12
#define ICMP6_UNREACHABLE 1
#define ICMP6_PARAMETER 4 /* 1 to 4 are the errors */
#define ICMP6_NEIGHBOR_SOLICIT 135

struct neighbor_solicit {
	struct icmp_error head;
	struct in6_addr target;
};

struct ports {
	__be16 source;
	__be16 dest;
};

/* masked brings an index below size, a power of two. Whoever asks has made sure already
 * that it is: this is for the verifier, which does not follow a comparison through the
 * compiler's registers, but does follow a mask. The barrier keeps the compiler, which
 * knows as much as the caller, from dropping the mask. */
static __always_inline __u32 masked(__u32 index, __u32 size)
{
	/* clang-format off */
	asm volatile("" : "+r"(index));
	/* clang-format on */
	return index & (size - 1);
}

static __always_inline int same_mac(const __u8 *a, const __u8 *b)
{
	return *(const __u32 *)a == *(const __u32 *)b && *(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

static __always_inline int is_group(const __u8 *mac)
{
	return mac[0] & 1;
}

/* is_virtual: 00:00:5e:00:01|02:VRID (RFC 9568 section 7.3). */
static __always_inline int is_virtual(const __u8 *mac)
{
	return mac[0] == 0 && mac[1] == 0 && mac[2] == 0x5e && mac[3] == 0 && (mac[4] == 1 || mac[4] == 2);
}

static __always_inline void copy_mac(__u8 *to, const __u8 *from)
{
	*(__u32 *)to = *(const __u32 *)from;
	*(__u16 *)(to + 4) = *(const __u16 *)(from + 4);
}

static __always_inline void map_ipv4(struct address *to, __be32 from)
{
	to->word[0] = 0;
	to->word[1] = 0;
	to->word[2] = bpf_htonl(0xffff);
	to->word[3] = from;
}

static __always_inline void copy_ipv6(__be32 to[4], const struct in6_addr *from)
{
	to[0] = from->in6_u.u6_addr32[0];
	to[1] = from->in6_u.u6_addr32[1];
	to[2] = from->in6_u.u6_addr32[2];
	to[3] = from->in6_u.u6_addr32[3];
}

/* jiffies is the low half: half a year and more at 250 Hz, and nearly free, where a
 * clock is not. */
static __always_inline __u32 jiffies(void)
{
	return (__u32)bpf_jiffies64();
}
