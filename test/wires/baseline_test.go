// SPDX-License-Identifier: Apache-2.0

package wires_test

import (
	"fmt"

	"hafast/test/netns/lab"
)

// compare counts, before hafast starts, how many new connections fail to each VIP where an
// administrator has put it on the first host by hand. With hafast there may be no more.
func (p *pair) compare() {
	p.t.Helper()
	for _, n := range p.wire.networks {
		bits := n.vip.BitLen()
		p.byHand(p.a, "ip addr add %s/%d dev %s", n.vip, bits, p.iface(p.a, n))
		p.eventually(n.vip.String()+" to answer without hafast", func() bool {
			c, err := p.dial(p.t.Context(), n.vip)
			if err != nil {
				return false
			}
			return c.Close() == nil
		})
		got := p.fresh(n.vip, newConnections)
		p.baseline[n.vip] = len(got.failed)
		if got.nodes[lab.HostB] > 0 {
			p.t.Errorf("without hafast, to %s: %v", n.vip, got)
		}
		p.byHand(p.a, "ip addr del %s/%d dev %s", n.vip, bits, p.iface(p.a, n))
		// The client has to find the VIP anew, as if it had never known it.
		p.byHand(p.client, "ip neigh flush dev %s", p.iface(p.client, n))
	}
}

// byHand runs what an administrator would.
func (p *pair) byHand(h *lab.Host, format string, args ...any) {
	p.t.Helper()
	_, err := h.Run(p.t.Context(), "sh", "-c", fmt.Sprintf(format, args...))
	check(p.t, err)
}

// fails reports whether more new connections to a network's VIP fail than without hafast.
func (p *pair) fails(n network, got tally) bool { return len(got.failed) > p.baseline[n.vip] }
