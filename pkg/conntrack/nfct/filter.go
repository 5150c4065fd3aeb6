// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"hafast/pkg/conntrack/record"
)

// States of TCP entries (enum tcp_conntrack of linux/netfilter/nf_conntrack_tcp.h).
const (
	TCPSynSent     = 1
	TCPSynRecv     = 2
	TCPEstablished = 3
	TCPFinWait     = 4
	TCPCloseWait   = 5
	TCPLastAck     = 6
	TCPTimeWait    = 7
	TCPClose       = 8
)

// States is a set of TCP states, a bit for each.
type States uint16

// StatesOf makes a set.
func StatesOf(states ...uint8) (s States) {
	for _, state := range states {
		s |= 1 << state
	}
	return s
}

// Has reports whether a state is in the set.
func (s States) Has(state uint8) bool { return state < 16 && s>>state&1 != 0 }

// Filter says which entries are replicated. It belongs to its user, who does not
// change it while it is in use.
type Filter struct {
	// Protocols are IP protocol numbers; others are not wanted.
	Protocols []uint8
	// Include, unless it is empty, wants one of the entry's four addresses (source and
	// destination of both directions) in one of the prefixes. Exclude wants none of the
	// four in any: it is for addresses that stay with this host, with which a replica
	// elsewhere is of no use.
	Include, Exclude []netip.Prefix
	// States are those in which a TCP connection has a replica.
	States States
	// Unassured also wants entries that are not assured, of whatever protocol: such as
	// ICMP, which never is, and UDP that is seldom or never answered.
	Unassured bool
	// SyncPort is the UDP port of the state sync itself, whose entries are not wanted:
	// each record would make another. 0 if there is none.
	SyncPort uint16
}

// DefaultFilter wants assured TCP and UDP entries that are neither loopback's nor the
// sync channel's, with a state from ESTABLISHED to LAST_ACK: a connection that is
// still being made is made anew by the client's next SYN, and one in TIME_WAIT or
// CLOSE has nothing more to say.
func DefaultFilter() Filter {
	return Filter{
		Protocols: []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP},
		Exclude:   []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		States:    StatesOf(TCPEstablished, TCPFinWait, TCPCloseWait, TCPLastAck),
		SyncPort:  9406,
	}
}

// Wants reports whether an entry that is known completely is replicated.
func (f *Filter) Wants(e *record.Entry) bool {
	if !f.concerns(e) || !f.Unassured && e.Status&statusAssured == 0 {
		return false
	}
	return e.Key.Tuple.Proto != unix.IPPROTO_TCP || f.States.Has(e.TCP.State)
}

// concerns judges what never changes about an entry.
func (f *Filter) concerns(e *record.Entry) bool {
	t := &e.Key.Tuple
	if !slices.Contains(f.Protocols, t.Proto) {
		return false
	}
	if t.Proto == unix.IPPROTO_UDP && f.SyncPort != 0 && (t.SrcPort == f.SyncPort || t.DstPort == f.SyncPort) {
		return false
	}
	return (len(f.Include) == 0 || anyIn(f.Include, e)) && !anyIn(f.Exclude, e)
}

// anyIn reports whether one of an entry's addresses is in one of the prefixes.
func anyIn(prefixes []netip.Prefix, e *record.Entry) bool {
	if len(prefixes) == 0 {
		return false
	}
	for _, a := range [4]record.Address{e.Key.Tuple.Src, e.Key.Tuple.Dst, e.Reply.Src, e.Reply.Dst} {
		addr := netip.AddrFrom16(a).Unmap()
		for _, p := range prefixes {
			if p.Contains(addr) {
				return true
			}
		}
	}
	return false
}

// over are the states after which a connection's replica is of no use any more.
func (f *Filter) over() States { return StatesOf(TCPTimeWait, TCPClose) &^ f.States }

// quiet are the states whose beginning need not be told: the replica passes the
// closing packets whichever of these states it has.
func (f *Filter) quiet() States {
	if !f.States.Has(TCPEstablished) {
		return 0
	}
	return f.States & StatesOf(TCPFinWait, TCPCloseWait, TCPLastAck)
}

// wantsNew reports whether entries are wanted that nothing has answered yet. Others
// make an UPDATE when they have come so far; without anybody who listens for NEW the
// kernel does not even write that message.
func (f *Filter) wantsNew() bool { return f.Unassured || f.States.Has(TCPSynSent) }

// verdict is what becomes of an event.
type verdict uint8

const (
	// ignored: it is not wanted, or tells nothing that the replica needs.
	ignored verdict = iota
	// told: the entry is wanted and complete.
	told
	// incomplete: it may be wanted, but something is missing.
	incomplete
	// gone: there is no entry any more that would be wanted.
	gone
)

// judge says what becomes of an event. labels says that entries have labels, which
// events carry only at a change.
func (f *Filter) judge(r *Report, labels bool) verdict {
	if !f.concerns(&r.Entry) {
		return ignored
	}
	isTCP := r.Entry.Key.Tuple.Proto == unix.IPPROTO_TCP
	if r.Kind == Destroyed {
		return f.judgeDestroyed(r, isTCP)
	}
	if isTCP && r.Fields&HasTCP != 0 {
		switch state := r.Entry.TCP.State; {
		case f.over().Has(state):
			return gone
		case f.quiet().Has(state), !f.States.Has(state):
			return ignored
		}
	}
	if !f.Unassured && r.Entry.Status&statusAssured == 0 {
		return ignored
	}
	const always = HasReply | HasStatus | HasTimeout
	if r.Fields&always != always || isTCP && r.Fields&HasTCP == 0 ||
		r.Entry.Status&statusExpected != 0 && r.Fields&HasMaster == 0 || labels && r.Fields&HasLabels == 0 {
		return incomplete
	}
	return told
}

// judgeDestroyed passes over the end of entries that had never been told, or had been
// told as gone.
func (f *Filter) judgeDestroyed(r *Report, isTCP bool) verdict {
	switch {
	case isTCP && r.Fields&HasTCP != 0 && !f.States.Has(r.Entry.TCP.State):
		return ignored
	case !f.Unassured && r.Fields&HasStatus != 0 && r.Entry.Status&statusAssured == 0:
		return ignored
	}
	return gone
}
