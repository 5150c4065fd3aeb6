// SPDX-License-Identifier: Apache-2.0

package loader

import "unsafe"

// The numbers of bpf/abi.h. Types generated from its structs carry some of them, the
// others are repeated here; a test holds both against the header.
const (
	abiVersion = 1

	MaxTargets = len(bpfControl{}.Target)
	MaxPeers   = 16
	MaxGates   = len(bpfControl{}.Open)
	MaxSets    = len(bpfSteering{}.Table)
	MaxVIPs    = 4096
	MaxLocals  = 4096

	// TableSize is the number of slots of a Maglev table, a prime.
	TableSize = 16381
	// NoTarget in a slot of a table: nobody serves this.
	NoTarget = 0xff
	// NoSet as a service's set: it stays on this host.
	NoSet = 0xffff

	serviceSlots  = len(bpfSteering{}.Service4)
	serviceProbes = 16

	flowClosing = 1
	flowReplica = 2

	// NoService as a flow's service: a peer has told it, and there is no such service
	// here.
	NoService = 0xffff
	// TrafficServices is how many services, by number, have their traffic counted each.
	TrafficServices = 2048
)

// Protocols of services and flows.
const (
	TCP = 6
	UDP = 17
)

// targetWords is the size of a target in words: it is written word by word.
const targetWords = 9

// A layout that the code relies on fails to compile when it changes.
var (
	_ [targetWords * 4]byte = [unsafe.Sizeof(bpfTarget{})]byte{}
	_ [0]byte               = [unsafe.Sizeof(bpfReplica{}) % 8]byte{}
)
