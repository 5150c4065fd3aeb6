// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/internal/link"
	"hafast/internal/link/nstest"
)

// watch runs a Monitor and returns a function that waits for a report that
// satisfies the condition.
func watch(t *testing.T, names ...string) (*link.Monitor, func(what string, ok func(link.Change) bool) link.Change) {
	t.Helper()
	m, err := link.NewMonitor(names...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	changes := make(chan link.Change, 10000)
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, func(c link.Change) { changes <- c }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return m, func(what string, ok func(link.Change) bool) link.Change {
		t.Helper()
		timeout := time.After(eventually.Patience)
		for {
			select {
			case c := <-changes:
				if ok(c) {
					return c
				}
			case <-timeout:
				t.Fatalf("no report of %s", what)
			}
		}
	}
}

func up(c link.Change) bool   { return c.Present && c.State.Up }
func down(c link.Change) bool { return c.Present && !c.State.Up }

func TestMonitorFollowsTheLink(t *testing.T) {
	pair(t)
	_, wait := watch(t, "eth0")
	first := wait("the first state", up)
	if first.State.Name != "eth0" || len(first.State.MAC) != 6 || first.State.MTU != 1500 {
		t.Errorf("state %+v", first.State)
	}
	nstest.Down(t, "peer0")
	wait("lost carrier", down)
	nstest.Up(t, "peer0")
	wait("carrier again", up)
	nstest.Down(t, "eth0")
	wait("set down", down)
	nstest.Up(t, "eth0")
	wait("set up again", up)

	nstest.Delete(t, "eth0")
	wait("removal", func(c link.Change) bool { return !c.Present })
	nstest.Veth(t, "eth0", "peer0")
	again := wait("re-creation", up)
	if again.State.Index == first.State.Index {
		t.Errorf("interface number %d is the old one", again.State.Index)
	}
}

func TestMonitorFollowsAddresses(t *testing.T) {
	pair(t)
	_, wait := watch(t, "eth0")
	nstest.Add(t, "eth0", "10.0.0.1/24")
	nstest.Add(t, "eth0", "10.0.0.2/24")
	vip := netip.MustParseAddr("10.0.0.2")
	c := wait("the addresses", func(c link.Change) bool { return c.State.Has(vip) })
	if got := c.State.Primary4(nil); got != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("primary %v", got)
	}
	nstest.Remove(t, "eth0", "10.0.0.2/24")
	c = wait("the removal", func(c link.Change) bool { return !c.State.Has(vip) })
	if len(c.Removed) != 1 || c.Removed[0] != vip {
		t.Errorf("removed %v, want %v", c.Removed, vip)
	}
	wait("the link-local address", func(c link.Change) bool { return c.State.LinkLocal6(nil).IsValid() })
}

func TestMonitorWatchesWhatComesLater(t *testing.T) {
	nstest.Enter(t)
	m, wait := watch(t, "eth0")
	wait("absence", func(c link.Change) bool { return c.Name == "eth0" && !c.Present })
	nstest.Veth(t, "eth0", "peer0")
	wait("creation", up)
	m.Watch("peer0")
	wait("the new name", func(c link.Change) bool { return c.Name == "peer0" && c.State.Up })
}

func TestMonitorRenamedInterface(t *testing.T) {
	pair(t)
	_, wait := watch(t, "eth0", "eth9")
	wait("the first state", up)
	err := netlink.LinkSetName(nstest.Link(t, "eth0"), "eth9")
	if errors.Is(err, unix.EBUSY) { // before Linux 6.2 an interface that is up keeps its name
		nstest.Down(t, "eth0")
		err = netlink.LinkSetName(nstest.Link(t, "eth0"), "eth9")
	}
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for len(seen) < 2 {
		c := wait("both names", func(c link.Change) bool { return c.Present == (c.Name == "eth9") })
		seen[c.Name] = true
	}
}

func TestMonitorSurvivesLostMessages(t *testing.T) {
	c := pair(t)
	m, err := link.NewMonitor("eth0")
	if err != nil {
		t.Fatal(err)
	}
	// A tiny buffer, full before the Monitor runs.
	if err := m.SetReceiveBuffer(1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddAddresses("eth0", many(500)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	changes := make(chan link.Change, 10000)
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, func(c link.Change) { changes <- c }) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if m.Rereads() == 0 {
			t.Error("no message was lost: the test has not tested")
		}
	}()
	wait := func(what string, ok func(link.Change) bool) {
		t.Helper()
		timeout := time.After(eventually.Patience)
		for {
			select {
			case c := <-changes:
				if ok(c) {
					return
				}
			case <-timeout:
				t.Fatalf("no report of %s", what)
			}
		}
	}
	wait("all addresses", func(c link.Change) bool { return len(c.State.Addrs) >= 500 })
	// It is alive: a further change is seen.
	nstest.Down(t, "peer0")
	wait("lost carrier", down)
}
