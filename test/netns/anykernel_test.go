// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"fmt"
	"net/netip"
	"testing"

	"hafast/test/netns/lab"
)

// TestPairOnAnyKernel is the whole of hafast in one go: a pair elects, both haproxies
// serve, and the VIP survives its host, also where each step takes a hundred times
// as long as it should. Package kernels runs it in emulated machines, where a lease of 100
// ms lapses now and then: so nothing is asked but that each state is reached in the end.
func TestPairOnAnyKernel(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.run(t, func(h *lab.Host) string {
		return "liveness: {interval: 20ms, multiplier: 100}\n" + watching(h) + "instances:\n" +
			vi(h, "VI_1", 51, "1s", []string{lab.VIP.String()}, "")
	})
	for _, h := range []*lab.Host{p.a, p.b} {
		driven(t, h)
	}
	p.sharing(t)
	p.servedSoon(t)

	p.asks(t, p.a, 0, "drain")
	p.settled(t, p.b)
	p.servedSoon(t)
	p.asks(t, p.a, 0, "ready")
	p.settled(t, p.a)
	p.sharing(t)

	// The daemon's death leaves haproxy to its connections, and the VIP to the other.
	p.sys.Proc(p.a).Kill()
	p.inState(t, p.b, lab.StateActive)
	p.answeredBy(t, p.b, lab.VIP)
	p.servedSoon(t)
	p.start(t, p.a)
	p.settled(t, p.a)
	p.sharing(t)
	p.servedSoon(t)
}

// servedSoon waits until fresh connections to the VIP get the page several times in a
// row: both haproxies are likely to be among those that serve them.
func (p *pair) servedSoon(t *testing.T) {
	t.Helper()
	const inARow = 8
	url := fmt.Sprintf("http://%s/", netip.AddrPortFrom(lab.VIP, lab.HTTPPort))
	eventually(t, "the VIP to serve", func() bool {
		for range inARow {
			if got, err := get(t, p.Client(), url); err != nil || got != lab.PageText {
				return false
			}
		}
		return true
	})
}
