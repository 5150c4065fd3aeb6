// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"testing"
	"time"

	"hafast/test/netns/lab"
)

// TestDepartedHostDies stops the daemon of a host whose haproxy still has connections.
// They go on for as long as the host is there; when it dies, they are not to hang.
func TestDepartedHostDies(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.run(t, single("", ""))
	p.sharing(t)
	ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
	p.stop(t, p.a)
	p.inState(t, p.b, lab.StateActive)
	p.targetState(t, p.b, lab.HostA, "drain")
	// Longer than it takes to find out: the host answers without its daemon.
	throughout(t, "the connections of a to go on", 5*time.Second, func() bool {
		ofA.live(t, p.a.Name)
		return !t.Failed()
	})
	p.targetState(t, p.b, lab.HostA, "drain")

	died := time.Now()
	check(t, p.a.SilentDeath())
	ofA.reset(t, p.a.Name)
	t.Logf("the last of its connections was reset %v after its death", time.Since(died).Round(time.Millisecond))
	p.journalled(t, p.b, "peer", "ceased to answer", 0)
	p.targetState(t, p.b, lab.HostA, "down")
	ofB.live(t, p.b.Name)
	p.serves(t, lab.VIP)

	check(t, p.a.Revive())
	p.targetState(t, p.b, lab.HostA, "drain")
	p.start(t, p.a)
	p.settled(t, p.a)
	p.sharing(t)
	ofB.live(t, p.b.Name)
}

// TestDepartedPeerOutlivesUpgrade replaces the daemon of the Active while the peer's is
// gone and its haproxy still has connections: nobody tells the new one of them.
func TestDepartedPeerOutlivesUpgrade(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.run(t, single("", ""))
	p.sharing(t)
	ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
	p.stop(t, p.a)
	p.inState(t, p.b, lab.StateActive)
	check(t, p.sys.Upgrade(within(t), p.b))
	throughout(t, "the connections of a to go on", 5*time.Second, func() bool {
		ofA.live(t, p.a.Name)
		return !t.Failed()
	})
	p.holdAll(t, lab.VIP, fewHeld, p.b)
	check(t, p.a.SilentDeath())
	ofA.reset(t, p.a.Name)
	ofB.live(t, p.b.Name)
}
