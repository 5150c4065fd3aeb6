// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"hafast/test/kernels"
)

// packageTimeout is for one test binary in a guest that is emulated.
const packageTimeout = 10 * time.Minute

// wiresTimeout is for the wires, each of which takes a pair through its life.
const wiresTimeout = time.Hour

// smokeTests need nothing but the kernel. Left to full runs is what takes
// long in a guest, as every load of the program takes a second there: floods, rows that
// TestProgram has just run, and tests of the loader that ask little of the kernel.
func smokeTests() []kernels.Tests {
	list := tests("test/kernels/attach", "test/program", "pkg/loader")
	list[1].Skip = "^TestReplacedProgram$/^first$|Flood$"
	list[2].Run = "^Test(Attach|Generic|Foreign|Detach|Remove|Control|Session|VIPs|Targets|Counters|Traffic|Events|Flows|Idle|Hashes|Reopen|Pins)"
	return list
}

// fullTests are of everything that talks to the kernel.
func fullTests() []kernels.Tests {
	list := tests("test/kernels/attach", "test/program", "pkg/loader", "internal/link", "internal/ownership", "internal/announce",
		"internal/advert", "internal/sockets", "internal/bfd", "internal/health", "internal/datapath",
		"pkg/conntrack/nfct", "test/netns", "test/wires")
	list[len(list)-2].Run = "^TestPairOnAnyKernel$"
	list[len(list)-1].Timeout = wiresTimeout
	return list
}

func tests(packages ...string) []kernels.Tests {
	out := make([]kernels.Tests, len(packages))
	for i, p := range packages {
		out[i] = kernels.Tests{Package: p, Timeout: packageTimeout}
	}
	return out
}

// columns of the table are tests that users ask for by name.
var columns = []kernels.Column{
	{Title: "loads", Package: "test/kernels/attach", Test: "TestLoads"},
	{Title: "veth native", Package: "test/kernels/attach", Test: "TestVethNative"},
	{Title: "veth generic", Package: "test/kernels/attach", Test: "TestVethGeneric"},
	{Title: "virtio native", Package: "test/kernels/attach", Test: "TestNICNative"},
	{Title: "virtio generic", Package: "test/kernels/attach", Test: "TestNICGeneric"},
	{Title: "pair", Package: "test/netns", Test: "TestPairOnAnyKernel"},
}
