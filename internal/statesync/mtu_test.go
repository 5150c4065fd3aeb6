// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"testing"

	"github.com/vishvananda/netlink"

	"hafast/internal/link/nstest"
	"hafast/internal/membership"
)

func TestPathMTU(t *testing.T) {
	cable(t)
	for _, test := range []struct{ link, want int }{{1450, 1450}, {1500, 1500}, {9000, 1500}} {
		if err := netlink.LinkSetMTU(nstest.Link(t, "hfsyn0"), test.link); err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"10.9.0.2", "fd09::2"} {
			if got, err := pathMTU(membership.Neighbour{Addr: addr(to)}); got != test.want || err != nil {
				t.Errorf("to %s by a link of %d: %d, %v, want %d", to, test.link, got, err, test.want)
			}
		}
	}
	if _, err := pathMTU(membership.Neighbour{Addr: addr("192.0.2.1")}); err == nil {
		t.Error("there is an MTU to where no route goes")
	}
}
