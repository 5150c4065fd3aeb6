// SPDX-License-Identifier: Apache-2.0

package main

import "hafast/test/kernels"

// bridgedNetworks are those of full runs' guests on which a pair and its client fit, as
// hypervisors give them to their machines: with checksums and segmentation left to the host.
// Only the first two let the guest take that back, which native XDP asks for.
func bridgedNetworks() []kernels.Network {
	const hosts = 3
	return []kernels.Network{
		{Name: "one-queue", NICs: hosts, Bridge: true},
		// One for each processor and one more for what XDP sends from it.
		{Name: "queues", NICs: hosts, Bridge: true, Queues: 4},
		{Name: "no-offload-control", NICs: hosts, Bridge: true, Properties: "ctrl_guest_offloads=off"},
	}
}
