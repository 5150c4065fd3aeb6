// SPDX-License-Identifier: Apache-2.0

package keepalived

import "net/netip"

// conntrackd translates conntrackd.conf: who talks to whom is carried over, how
// they do it is not, because hafast has a protocol of its own.
func (t *translator) conntrackd(root *node) {
	if t.doc.sync == nil {
		t.doc.sync = &syncSection{}
	}
	to := &t.doc.sync.notes
	for _, n := range root.children {
		switch n.keyword {
		case "Sync":
			t.conntrackdSync(n)
		case "General":
			t.conntrackdGeneral(n)
		case "Stats", "Helper":
			t.leftOut(n, to, "hafast replicates flows and does nothing else with them; left out", true)
		default:
			t.leftOut(n, to, "", false)
		}
	}
	if !t.doc.sync.listen.IsValid() && len(t.doc.sync.peers) == 0 {
		t.warn(root.first(), to, "no UDP section names the hosts of the sync link; add listen and peers, or leave them out to use the adverts' addresses")
	}
}

// first is the place of the first line of a block.
func (n *node) first() place {
	if len(n.children) > 0 {
		return n.children[0].at
	}
	return n.at
}

func (t *translator) conntrackdSync(block *node) {
	s := t.doc.sync
	to := &s.notes
	t.extraArgs(block, to, 0)
	links := 0
	for _, n := range block.children {
		switch n.keyword {
		case "Mode":
			t.conntrackdMode(n)
		case "UDP", "TCP":
			if links++; links > 1 {
				t.leftOut(n, to, "hafast has one sync link; left out", true)
				continue
			}
			if n.keyword == "TCP" {
				t.warn(n.at, to, "TCP: hafast replicates over UDP, with acknowledgements of its own; the addresses are carried over")
			}
			t.conntrackdLink(n)
		case "Multicast":
			if links++; links > 1 {
				t.leftOut(n, to, "hafast has one sync link; left out", true)
				continue
			}
			t.conntrackdMulticast(n)
		case "Options":
			for _, c := range n.children {
				reason, known := reasonSyncOption(c.keyword)
				t.leftOut(c, to, reason, known)
			}
		default:
			t.leftOut(n, to, "", false)
		}
	}
}

func reasonSyncOption(keyword string) (string, bool) {
	switch keyword {
	case "TCPWindowTracking":
		return "the kernel tells nobody where a TCP window is, and holds no replica to one; left out", true
	case "ExpectationSync":
		return "hafast replicates connections that a helper has expected, with the one they belong to, but no expectation that still waits; left out", true
	}
	return "", false
}

// conntrackdMode warns of the protocol and its tuning.
func (t *translator) conntrackdMode(n *node) {
	to := &t.doc.sync.notes
	t.warn(n.at, to, "Mode %s: hafast has one protocol, reliable and in order, in place of FTFW, NOTRACK and ALARM; left out", n.arg(0))
	t.extraArgs(n, to, 1)
	for _, c := range n.children {
		t.leftOut(c, to, "tuning of conntrackd's protocol; left out", true)
	}
}

// conntrackdLink reads UDP or TCP.
func (t *translator) conntrackdLink(block *node) {
	s := t.doc.sync
	to := &s.notes
	if args := block.args; len(args) > 0 && (len(args) > 1 || args[0] != "Default") {
		t.extraArgs(block, to, 0)
	}
	for _, n := range block.children {
		switch n.keyword {
		case "IPv4_address", "IPv6_address":
			if addr, ok := t.linkAddress(n); ok {
				s.listen = addr
			}
		case "IPv4_Destination_Address", "IPv6_Destination_Address":
			if addr, ok := t.linkAddress(n); ok {
				s.peers = append(s.peers, addr)
			}
		default:
			t.linkKeyword(n)
		}
	}
}

// conntrackdMulticast takes this host's address from the interface's; the
// others' are not in the file.
func (t *translator) conntrackdMulticast(block *node) {
	s := t.doc.sync
	to := &s.notes
	t.warn(block.at, to, "Multicast: hafast replicates between addresses, not to a group; add the other host's address on this link to sync.peers")
	for _, n := range block.children {
		switch n.keyword {
		case "IPv4_interface":
			if addr, ok := t.linkAddress(n); ok {
				s.listen = addr
			}
		case "IPv6_interface":
			t.leftOut(n, to, "write the interface's address as sync.listen; left out", true)
		case "IPv4_address", "IPv6_address", "Group":
			t.leftOut(n, to, "part of the multicast group; left out", true)
		default:
			t.linkKeyword(n)
		}
	}
}

// linkKeyword warns of what all kinds of links have and hafast does without.
func (t *translator) linkKeyword(n *node) {
	to := &t.doc.sync.notes
	switch n.keyword {
	case "Port":
		t.leftOut(n, to, "hafast chooses the port; left out", true)
	case "Interface":
		t.leftOut(n, to, "the address tells the interface; left out", true)
	case "SndSocketBuffer", "RcvSocketBuffer":
		t.leftOut(n, to, noBuffers, true)
	case "Checksum":
		t.leftOut(n, to, "hafast authenticates each datagram; left out", true)
	default:
		t.leftOut(n, to, "", false)
	}
}

func (t *translator) linkAddress(n *node) (netip.Addr, bool) {
	to := &t.doc.sync.notes
	t.extraArgs(n, to, 1)
	return t.hostAddress(n.at, to, n.keyword, n.arg(0))
}

func (t *translator) conntrackdGeneral(block *node) {
	to := &t.doc.sync.notes
	t.extraArgs(block, to, 0)
	for _, n := range block.children {
		reason, known := "", true
		switch n.keyword {
		case "HashSize", "HashLimit", "NetlinkBufferSize", "NetlinkBufferSizeMaxGrowth", "NetlinkOverrunResync",
			"NetlinkEventsReliable", "PollSecs", "EventIterationLimit", "Nice", "Scheduler":
			reason = "tuning of conntrackd's process; left out"
		case "LogFile", "Syslog":
			reason = "hafast logs to standard error, which systemd keeps; left out"
		case "Lockfile", "LockFile", "UNIX", "Systemd":
			reason = "hafast has one socket, control.socket, for all its commands; left out"
		case "Filter":
			t.conntrackdFilter(n)
			continue
		default:
			known = false
		}
		t.leftOut(n, to, reason, known)
	}
}
