// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* BFD control packets (RFC 5880) as S-BFD carries them (RFC 7880, RFC 7881), found in a
 * frame and held to the rules.
 */
#pragma once

#include "packet.h"

#define SBFD_PORT 7784
#define SBFD_TTL_SENT 255
#define REPLY_WINDOW 256 /* probes back from the last one that a reply may be for */

/* RFC 5880 section 4.1 */
struct bfd {
	__u8 version_diag;
	__u8 state_flags;
	__u8 multiplier;
	__u8 length;
	__be32 mine;
	__be32 yours;
	__be32 min_tx;
	__be32 min_rx;
	__be32 min_echo_rx;
};

enum bfd_flags {
	BFD_MULTIPOINT = 1,
	BFD_DEMAND = 2,
	BFD_AUTH = 4,
	BFD_FINAL = 16,
	BFD_POLL = 32,
};

/* probe is an S-BFD packet and what it was carried by. */
struct probe {
	struct udphdr *udp;
	struct bfd *bfd;
	struct address from;
	struct address to;
	__u32 room; /* what the IP header leaves for UDP */
	__u8 ttl;
	__u8 needs_checksum; /* IPv6: a checksum of 0 is an error */
};

/* find_bfd sets probe->bfd if the datagram can be one. */
static __always_inline int find_bfd(const struct packet *p, struct probe *probe)
{
	struct bfd *bfd = (void *)(probe->udp + 1);
	__u16 size = bpf_ntohs(probe->udp->len);

	if (!reaches(p, bfd, sizeof(*bfd)) || size < sizeof(*probe->udp) + sizeof(*bfd) || size > probe->room)
		return 0;
	/* An answer must not leave from a group's address. */
	if (is_group(p->eth->h_dest))
		return 0;
	/* RFC 5880 section 6.8.6 */
	if (bfd->version_diag >> 5 != 1 || bfd->length < sizeof(*bfd) ||
	    bfd->length > size - sizeof(*probe->udp) || !bfd->multiplier || !bfd->mine ||
	    bfd->state_flags & (BFD_MULTIPOINT | BFD_AUTH))
		return 0;
	if (probe->needs_checksum && !probe->udp->check)
		return 0;
	probe->bfd = bfd;
	return 1;
}
