// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"net"
	"testing"
	"time"

	"hafast/pkg/conntrack/record"
)

// TestHeldVariety: connections of all kinds (NAT of the source, of the destination, of
// both, IPv4 and IPv6, with a zone, with a mark) go on through a second router by their
// replicas, which picks up nothing that it does not know.
func TestHeldVariety(t *testing.T) {
	l := newLab(t, varietyRules)
	for _, router := range []*host{l.a, l.b} {
		router.sysctl("net.netfilter.nf_conntrack_tcp_loose", "0")
	}
	v := makeVariety(t, l)
	entries := masterFirst(l.a.dump(everything()))
	apply(t, l.b.table(), Set, entries, Done)
	l.use(l.b)
	for _, c := range v.tcp {
		// A server of FTP has nothing to say but to PASV.
		if c.RemoteAddr().(*net.TCPAddr).Port == 21 {
			continue
		}
		if err := converse(c, 3, 5*time.Second); err != nil {
			t.Errorf("TCP to %v after the move: %v", c.RemoteAddr(), err)
		}
	}
	for _, c := range v.udp {
		if err := query(c); err != nil {
			t.Errorf("UDP to %v after the move: %v", c.RemoteAddr(), err)
		}
	}
	copied := map[record.EntryKey]record.Entry{}
	for _, e := range entries {
		copied[e.Key] = e
	}
	for key, e := range byKey(l.b.dump(everything())) {
		if was, ok := copied[key]; !ok || e.Reply != was.Reply || e.Mark != was.Mark {
			t.Errorf("the second router has made anew or changed\n%+v, told was\n%+v", e, was)
		}
	}
}
