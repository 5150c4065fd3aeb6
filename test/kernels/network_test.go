// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hafast/test/kernels/nics"
)

var someNetworks = []Network{
	{Name: "hub", NICs: 2},
	{Name: "queues", NICs: 1, Bridge: true, Queues: 4},
	{Name: "none"},
	{Name: "plain", NICs: 1, Bridge: true, Properties: "ctrl_guest_offloads=off"},
}

func TestNames(t *testing.T) {
	want := []nics.Network{
		{Name: "hub", Interfaces: []string{"eth0", "eth1"}},
		{Name: "queues", Interfaces: []string{"eth2"}},
		{Name: "none"},
		{Name: "plain", Interfaces: []string{"eth3"}},
	}
	if d := cmp.Diff(want, names(someNetworks)); d != "" {
		t.Error("(-want +got)\n", d)
	}
}

func TestNetworkArguments(t *testing.T) {
	want := []string{
		"-netdev", "hubport,id=wire0-0,hubid=0", "-device", "virtio-net-pci,netdev=wire0-0,mac=52:54:00:00:00:01",
		"-netdev", "hubport,id=wire0-1,hubid=0", "-device", "virtio-net-pci,netdev=wire0-1,mac=52:54:00:00:00:02",
		"-netdev", "tap,id=wire1-0,ifname=wire1-0,script=/w,,1/b.sh,downscript=no,queues=4",
		"-device", "virtio-net-pci,netdev=wire1-0,mac=52:54:00:00:01:03,mq=on,vectors=10",
		"-netdev", "tap,id=wire3-0,ifname=wire3-0,script=/w,,1/b.sh,downscript=no",
		"-device", "virtio-net-pci,netdev=wire3-0,mac=52:54:00:00:03:04,ctrl_guest_offloads=off",
	}
	if d := cmp.Diff(want, networkArguments(someNetworks, "/w,1/b.sh")); d != "" {
		t.Error("(-want +got)\n", d)
	}
	if bridged(someNetworks[:1]) || !bridged(someNetworks) {
		t.Error("a namespace is made for networks that need none, or not for those that do")
	}
}

// TestGuestKnowsItsNetworks: the first process has them from the kernel's command line.
func TestGuestKnowsItsNetworks(t *testing.T) {
	args := Guest{Networks: someNetworks}.arguments()
	at := slices.Index(args, "-append")
	if at < 0 || !slices.Contains(strings.Fields(args[at+1]), nics.Variable+"=hub:eth0,eth1;queues:eth2;none:;plain:eth3") {
		t.Errorf("got %q", args)
	}
}
