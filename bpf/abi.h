// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the program and the daemon agree on: sizes, states, and the layout of every
 * map's keys and values. Go's types are generated from these (pkg/loader); whoever
 * changes the layout of a map that is pinned, or gives what lies in it a meaning that
 * older programs would get wrong, raises ABI_VERSION, so that a daemon knows a
 * predecessor's pins.
 *
 * Numbers are in host order unless their type says otherwise (__be16, __be32).
 * Addresses of 16 bytes hold IPv4 as ::ffff:a.b.c.d.
 */
#pragma once

#include <linux/types.h>

#define ABI_VERSION 1

#define MAX_TARGETS 16 /* haproxies that flows can be sent to, this host's included */
#define MAX_PEERS 16   /* hosts that liveness is exchanged with */
#define MAX_GATES 1024 /* instances, each of which owns its VIPs together */
#define MAX_SETS 64    /* different sets of targets among the services in force */
#define MAX_VIPS 4096
#define MAX_MACS 256    /* own hardware addresses */
#define MAX_LOCALS 4096 /* own addresses and VIPs that S-BFD is answered on */

#define TABLE_SIZE 16381   /* slots of a Maglev table; prime */
#define TABLE_ROW 16384    /* bytes of one; a power of two */
#define SERVICE_SLOTS 4096 /* of the services' hash table, per family; a power of two */
#define SERVICE_PROBES 16  /* slots looked at for one service at most */
#define FILTER_BITS 65536  /* of the filter that turns other people's traffic away */

#define NO_TARGET 0xff    /* in a Maglev table: nobody serves this */
#define NO_SET 0xffff     /* in a service: nobody takes its new flows but this host's stack */
#define NO_SERVICE 0xffff /* in a flow that a peer has told: no such service here */

#define TRAFFIC_SERVICES 2048 /* whose traffic is counted for each: those with the lowest ids */
#define REPLICA_BATCH 512     /* records that one run of replicate works off at most */

/* What may be done with a target. */
enum target_flags {
	TARGET_LOCAL = 1, /* this host */
	TARGET_NEW = 2,   /* healthy: takes new flows */
	TARGET_OLD = 4,   /* alive: its flows can go there */
};

/* A haproxy. The place in the array is what a flow remembers: it stays a target's
 * own for as long as flows may name it. */
struct target {
	__u8 address[16];
	__u32 ifindex;  /* the interface it is reached through */
	__u8 mac[6];    /* its hardware address there */
	__u8 source[6]; /* our own hardware address there */
	__u8 flags;     /* enum target_flags; 0 for a free place */
	__u8 pad[3];
};

/* What the daemon tells the program. One entry, mapped into the daemon's memory. */
struct control {
	__u64 lease;         /* CLOCK_MONOTONIC, ns: the gates are closed from then on */
	__u32 serving;       /* 1: the reflector says Up while the lease holds */
	__u32 bank;          /* which of the two struct steering is in force */
	__u32 self;          /* this host's place among the targets */
	__u32 targets;       /* places in use, from the first */
	__u32 min_rx;        /* required min RX interval that the reflector states, us */
	__u32 probe_port;    /* UDP port that this host's S-BFD probes leave from */
	__u32 reflect_limit; /* S-BFD probes answered per peer and 16.8 ms (2^24 ns) */
	__be32 witness;      /* whose ARP replies are counted; 0: nobody's */
	struct target target[MAX_TARGETS];
	__u8 open[MAX_GATES];           /* 1: this host is Active for the gate's VIPs */
	__u64 filter[FILTER_BITS / 64]; /* a bit for each VIP's address_hash */
};

/* A service in its hash table; the first of SERVICE_PROBES places is service_hash.
 * proto 0: a free place. */
struct service4 {
	__be32 vip;
	__be16 port;
	__u8 proto;
	__u8 pad;
	__u16 set; /* of targets, or NO_SET */
	__u16 id;  /* the daemon's number of the service */
};

struct service6 {
	__be32 vip[4];
	__be16 port;
	__u8 proto;
	__u8 pad;
	__u16 set;
	__u16 id;
};

/* Where new flows go. Two entries, mapped into the daemon's memory: it writes the
 * one that is not in force, and then control.bank. */
struct steering {
	struct service4 service4[SERVICE_SLOTS];
	struct service6 service6[SERVICE_SLOTS];
	__u8 table[MAX_SETS][TABLE_ROW]; /* place of a target, or NO_TARGET */
};

/* A flow as its packets to the VIP have it. */
struct flow4_key {
	__be32 client;
	__be32 vip;
	__be16 client_port;
	__be16 vip_port;
};

struct flow6_key {
	__be32 client[4];
	__be32 vip[4];
	__be16 client_port;
	__be16 vip_port;
};

/* Programs before replication have written 0 for all but FLOW_CLOSING, and leave the
 * others alone but where they clear all. */
enum flow_flags {
	FLOW_CLOSING = 1,       /* a FIN or RST has gone by */
	FLOW_REPLICA = 2,       /* a peer has told it, and no packet of it has come here since */
	FLOW_GENERATION = 0xfc, /* of a replica: a number for when it was told last */
};

struct flow {
	__u8 target;   /* place */
	__u8 flags;    /* enum flow_flags */
	__u16 service; /* id */
	__u32 seen;    /* jiffies of the last packet, the low 32 bits */
};

/* What has become of a flow. Nothing is told of flows that peers have told. */
enum event_kind {
	EVENT_CREATED = 1, /* first ACK, or first datagram */
	EVENT_CLOSING = 2, /* first FIN or RST */
	EVENT_MOVED = 3,   /* begun anew by a SYN or datagram, perhaps at another target */
};

/* A record of the ring buffer. */
struct event {
	struct flow6_key key; /* of IPv4: a struct flow4_key, and what is behind it undefined */
	__u8 kind;            /* enum event_kind */
	__u8 proto;
	__u8 ipv6; /* 1 or 0 */
	__u8 target;
	__u16 service;
	__u16 pad;
};

/* Who reads the ring. One entry, mapped into the daemon's memory. */
struct listener {
	__u32 on; /* by the daemon: 1 while events are wanted */
	__u32 pad;
	__u64 lost; /* by the program: events that found the ring full */
};

/* What replicate is to do. */
enum replica_op {
	REPLICA_TELL = 1,  /* a peer has the flow */
	REPLICA_GONE = 2,  /* a peer has it no more */
	REPLICA_SWEEP = 3, /* nobody has told it for long: if flags are still its flags, it goes */
};

/* What has come of it. */
enum replica_result {
	REPLICA_SAME = 1,    /* it was so but for its age, or there was nothing to delete */
	REPLICA_ADDED = 2,   /* it was not there */
	REPLICA_ALTERED = 3, /* its target, or whether it is closing, was another */
	REPLICA_REMOVED = 4,
	REPLICA_KEPT = 5,   /* what is here is younger */
	REPLICA_FAILED = 6, /* the table has no room that could be made */
};

/* A record for replicate. REPLICA_BATCH entries, mapped into the daemon's memory. */
struct replica {
	struct flow6_key key; /* as in struct event */
	__u8 op;              /* enum replica_op */
	__u8 result;          /* by the program: enum replica_result */
	__u8 proto;
	__u8 ipv6;
	__u8 target;
	__u8 flags; /* enum flow_flags */
	__u8 own;   /* 1: what has had a packet here since the peer's last one stays as it is */
	__u8 pad;
	__u32 idle; /* jiffies since the peer's last packet */
};

/* What replicate is run with. */
struct replicate_args {
	__u32 records; /* the first so many */
};

struct tally {
	__u64 packets;
	__u64 bytes; /* of whole frames */
};

/* A service's traffic as it arrives here first: what a peer has sent on is counted
 * there. TRAFFIC_SERVICES entries by id, and one for all others. */
struct traffic {
	struct tally target[MAX_TARGETS]; /* sent on to a peer, or passed to this host's haproxy */
	struct tally nobody;              /* left to this host's stack: the target is dead, or there is none */
};

struct address {
	__be32 word[4];
};

/* A hardware address as a key. */
struct mac {
	__u8 byte[6];
	__u8 pad[2];
};

struct vip {
	__u32 gate; /* index of control.open */
};

struct local {
	__u32 discriminator; /* that S-BFD probes to this address must ask for */
};

struct peer {
	__u32 slot; /* index of struct session */
};

/* A liveness session. MAX_PEERS entries, mapped into the daemon's memory. */
struct session {
	__u32 sent; /* by the daemon: the sequence number of the last probe */
	__u32 pad;
	__u64 reply;    /* by the program: sequence << 32 | enum bfd_state */
	__u64 reply_at; /* by the program: CLOCK_MONOTONIC, ns */
	__u64 replies;  /* by the program: how many */
	__u64 window;   /* the reflector's: time >> 24 */
	__u32 answered; /* the reflector's: probes in this window */
	__u32 pad2;
};

/* A leg is the way of flows that a peer sends on to this host: in at the peer's
 * interface, out again by its program, and here. This host sends a probe to the peer,
 * whose program sends it back as it would a flow. MAX_PEERS entries by the slots of
 * struct session, mapped into the daemon's memory. */
struct leg {
	__u32 sent;      /* by the daemon: the sequence number of the last probe */
	__u32 returned;  /* by the program: the sequence number of the last that came back */
	__u64 forwarded; /* by the program: the peer's own probes that it has sent back */
};

/* Added to the discriminator of a host, what asks it to send a probe back as a flow. */
#define LEG_DISCRIMINATOR 0x4c454700

/* What is seen of the witness. One entry, mapped. */
struct witness {
	__u64 replies; /* its ARP replies so far */
};

/* BFD's states (RFC 5880 section 4.1). */
enum bfd_state {
	BFD_ADMIN_DOWN = 0,
	BFD_DOWN = 1,
	BFD_INIT = 2,
	BFD_UP = 3,
};

/* Why a packet went where it went. Each packet counts for one reason. The names
 * are the labels of the metrics: see pkg/loader. */
enum reason {
	/* passed to this host's stack */
	PASS_OTHER,        /* not for a VIP */
	PASS_TRUNCATED,    /* headers end early */
	PASS_LOCAL_FLOW,   /* a known flow of this host's haproxy */
	PASS_LOCAL_NEW,    /* a new flow that this host's haproxy is to serve */
	PASS_LOCAL_SOCKET, /* second chance: a socket of this host knows the flow */
	PASS_FROM_PEER,    /* a peer has steered it here: one hop at most */
	PASS_FRAGMENT,     /* for a VIP, without ports to go by */
	PASS_IP_OPTIONS,   /* for a VIP, a header with options: IPv4's or IPv6 extensions */
	PASS_NO_SERVICE,   /* for a VIP, but nobody's service */
	PASS_NO_TARGET,    /* nobody else can take it: this host's stack has the last word */
	PASS_DEAD_TARGET,  /* a flow of a target that has died: the stack answers with RST */
	PASS_PROTOCOL,     /* for a VIP, neither TCP nor UDP nor an ICMP error */
	PASS_ICMP_LOCAL,   /* an ICMP error about a flow of this host */
	PASS_ARP_ACTIVE,   /* ARP or NS for a VIP, and the gate is open */
	/* sent on to a peer */
	TX_FLOW,          /* a known flow */
	TX_NEW,           /* a new flow */
	TX_SECOND_CHANCE, /* a flow that nobody here knows */
	TX_ICMP,          /* an ICMP error about a peer's flow */
	/* dropped */
	DROP_ARP_BACKUP, /* ARP or NS for a VIP of which this host is not Active */
	DROP_ARP_LEASE,  /* ... or whose daemon has not renewed the lease */
	/* S-BFD */
	SBFD_REFLECTED, /* a probe answered, XDP_TX */
	SBFD_REPLY,     /* a reply noted */
	SBFD_MALFORMED, /* all below are dropped */
	SBFD_TTL,
	SBFD_SOURCE, /* not a peer, or not a port that probes come from */
	SBFD_DISCRIMINATOR,
	SBFD_LOOP, /* D is clear in a probe, or set in a reply */
	SBFD_RATE,
	SBFD_REPLY_UNKNOWN, /* answers no probe of late, or is none that was sent of late */
	LEG_FORWARDED,      /* a peer's leg probe, sent back as a flow would be, XDP_TX */
	LEG_RETURNED,       /* one of ours, back again; dropped */
	REASONS,
};

#define REASON_SLOTS 32 /* a power of two, not below REASONS */

struct counters {
	__u64 packets[REASON_SLOTS];
};

_Static_assert(REASONS <= REASON_SLOTS, "a reason without a counter");
