// SPDX-License-Identifier: Apache-2.0

package loader

import "fmt"

// Reason is why a packet went where it went: enum reason of bpf/abi.h, which says
// what each one means.
type Reason uint32

// The reasons, in the order of the enum.
const (
	PassOther Reason = iota
	PassTruncated
	PassLocalFlow
	PassLocalNew
	PassLocalSocket
	PassFromPeer
	PassFragment
	PassIPOptions
	PassNoService
	PassNoTarget
	PassDeadTarget
	PassProtocol
	PassICMPLocal
	PassARPActive
	TXFlow
	TXNew
	TXSecondChance
	TXICMP
	DropARPBackup
	DropARPLease
	SBFDReflected
	SBFDReply
	SBFDMalformed
	SBFDTTL
	SBFDSource
	SBFDDiscriminator
	SBFDLoop
	SBFDRate
	SBFDReplyUnknown
	LegForwarded
	LegReturned

	// Reasons is how many there are.
	Reasons = int(LegReturned) + 1
)

// String is the label in the metrics.
func (r Reason) String() string {
	names := [Reasons]string{
		PassOther:         "pass_other",
		PassTruncated:     "pass_truncated",
		PassLocalFlow:     "pass_local_flow",
		PassLocalNew:      "pass_local_new",
		PassLocalSocket:   "pass_local_socket",
		PassFromPeer:      "pass_from_peer",
		PassFragment:      "pass_fragment",
		PassIPOptions:     "pass_ip_options",
		PassNoService:     "pass_no_service",
		PassNoTarget:      "pass_no_target",
		PassDeadTarget:    "pass_dead_target",
		PassProtocol:      "pass_protocol",
		PassICMPLocal:     "pass_icmp_local",
		PassARPActive:     "pass_arp_active",
		TXFlow:            "tx_flow",
		TXNew:             "tx_new",
		TXSecondChance:    "tx_second_chance",
		TXICMP:            "tx_icmp",
		DropARPBackup:     "drop_arp_backup",
		DropARPLease:      "drop_arp_lease",
		SBFDReflected:     "sbfd_reflected",
		SBFDReply:         "sbfd_reply",
		SBFDMalformed:     "sbfd_malformed",
		SBFDTTL:           "sbfd_ttl",
		SBFDSource:        "sbfd_source",
		SBFDDiscriminator: "sbfd_discriminator",
		SBFDLoop:          "sbfd_loop",
		SBFDRate:          "sbfd_rate",
		SBFDReplyUnknown:  "sbfd_reply_unknown",
		LegForwarded:      "leg_forwarded",
		LegReturned:       "leg_returned",
	}
	if int(r) >= Reasons {
		return fmt.Sprintf("reason_%d", uint32(r))
	}
	return names[r]
}

// Counters are packets by reason, since the data path was first opened.
type Counters [Reasons]uint64

// Counters reads the counters, summed over the CPUs.
func (d *DataPath) Counters() (Counters, error) {
	var sum Counters
	var each []bpfCounters
	if err := d.maps.Counters.Lookup(uint32(0), &each); err != nil {
		return sum, fmt.Errorf("read counters: %w", err)
	}
	for i := range each {
		for r := range sum {
			sum[r] += each[i].Packets[r]
		}
	}
	return sum, nil
}
