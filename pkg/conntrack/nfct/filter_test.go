// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/pkg/conntrack/record"
)

func TestFilterWants(t *testing.T) {
	with := func(change func(*record.Entry)) record.Entry {
		e := natEntry(1)
		change(&e)
		return e
	}
	udp := func(src, dst uint16) record.Entry {
		return with(func(e *record.Entry) {
			e.Key.Tuple.Proto, e.Key.Tuple.SrcPort, e.Key.Tuple.DstPort = unix.IPPROTO_UDP, src, dst
		})
	}
	unassured := func(f *Filter) { f.Unassured = true }
	tests := []struct {
		name   string
		change func(*Filter)
		entry  record.Entry
		want   bool
	}{
		{"TCP", nil, natEntry(1), true},
		{"UDP", nil, udp(1, 53), true},
		{"UDP, not assured", nil, with(func(e *record.Entry) { e.Key.Tuple.Proto, e.Status = unix.IPPROTO_UDP, statusSeenReply }), false},
		{"UDP, not assured, wanted", unassured, with(func(e *record.Entry) { e.Key.Tuple.Proto, e.Status = unix.IPPROTO_UDP, statusSeenReply }), true},
		{"ICMP", unassured, with(func(e *record.Entry) { e.Key.Tuple.Proto = unix.IPPROTO_ICMP }), false},
		{"SCTP", unassured, with(func(e *record.Entry) { e.Key.Tuple.Proto = unix.IPPROTO_SCTP }), false},
		{"the sync channel", nil, udp(1, 9406), false},
		{"the sync channel, other direction", nil, udp(9406, 1), false},
		{"TCP to the same port", nil, with(func(e *record.Entry) { e.Key.Tuple.DstPort = 9406 }), true},
		{"SYN_SENT", unassured, with(func(e *record.Entry) { e.TCP.State = TCPSynSent }), false},
		{"SYN_RECV", unassured, with(func(e *record.Entry) { e.TCP.State = TCPSynRecv }), false},
		{"LAST_ACK", nil, with(func(e *record.Entry) { e.TCP.State = TCPLastAck }), true},
		{"TIME_WAIT", nil, with(func(e *record.Entry) { e.TCP.State = TCPTimeWait }), false},
		{"CLOSE", nil, with(func(e *record.Entry) { e.TCP.State = TCPClose }), false},
		{"no state", nil, with(func(e *record.Entry) { e.TCP = record.TCP{} }), false},
		{"loopback", nil, with(func(e *record.Entry) { e.Key.Tuple.Dst = addr("127.1.2.3") }), false},
		{"IPv6 loopback", nil, with(func(e *record.Entry) { e.Key.Tuple.Src = addr("::1") }), false},
		{"included by its source", func(f *Filter) { f.Include = prefixes("192.0.2.0/24") }, natEntry(1), true},
		{"included by what NAT makes of it", func(f *Filter) { f.Include = prefixes("10.9.9.9/32") }, natEntry(1), true},
		{"not included", func(f *Filter) { f.Include = prefixes("10.9.9.8/32", "fd00::/8") }, natEntry(1), false},
		{"included and excluded", func(f *Filter) {
			f.Include, f.Exclude = prefixes("192.0.2.0/24"), prefixes("198.51.100.1/32")
		}, natEntry(1), false},
	}
	for _, test := range tests {
		f := DefaultFilter()
		if test.change != nil {
			test.change(&f)
		}
		if got := f.Wants(&test.entry); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestJudge(t *testing.T) {
	const all = HasReply | HasStatus | HasTimeout
	tcp := func(kind Kind, state uint8, fields Fields) Report {
		e := natEntry(1)
		e.TCP.State, e.Timeout = state, time.Minute
		return Report{Kind: kind, Entry: e, Fields: fields}
	}
	with := func(r Report, change func(*Report)) Report {
		change(&r)
		return r
	}
	udp := func(r *Report) { r.Entry.Key.Tuple.Proto = unix.IPPROTO_UDP }
	fresh := func(r *Report) { r.Entry.Status &^= statusAssured }
	tests := []struct {
		name   string
		report Report
		labels bool
		want   verdict
	}{
		{"established", tcp(Changed, TCPEstablished, all|HasTCP), false, told},
		{"established, with labels somewhere", tcp(Changed, TCPEstablished, all|HasTCP), true, incomplete},
		{"established, with its labels", tcp(Changed, TCPEstablished, all|HasTCP|HasLabels), true, told},
		{"established by one packet so far", with(tcp(Changed, TCPEstablished, all|HasTCP), fresh), false, ignored},
		{"a mark was set", tcp(Changed, 0, all|HasMark), false, incomplete},
		{"expected", with(tcp(Changed, TCPEstablished, all|HasTCP), func(r *Report) { r.Entry.Status |= statusExpected }), false, incomplete},
		{"expected, by whom", with(tcp(Changed, TCPEstablished, all|HasTCP|HasMaster), func(r *Report) { r.Entry.Status |= statusExpected }), false, told},
		{"a SYN", tcp(Created, TCPSynSent, all|HasTCP), false, ignored},
		{"a SYN and its answer", tcp(Changed, TCPSynRecv, all|HasTCP), false, ignored},
		{"half closed", tcp(Changed, TCPFinWait, all|HasTCP), false, ignored},
		{"closed", tcp(Changed, TCPTimeWait, all|HasTCP), false, gone},
		{"reset", tcp(Changed, TCPClose, all|HasTCP), false, gone},
		{"destroyed when closed", tcp(Destroyed, TCPTimeWait, all|HasTCP), false, ignored},
		{"destroyed half closed", tcp(Destroyed, TCPCloseWait, all|HasTCP), false, gone},
		{"destroyed, by an older kernel", tcp(Destroyed, 0, HasReply), false, gone},
		{"UDP", with(tcp(Changed, 0, all), udp), false, told},
		{"UDP, the first answer", with(with(tcp(Changed, 0, all), udp), fresh), false, ignored},
		{"UDP, destroyed", with(tcp(Destroyed, 0, all), udp), false, gone},
		{"UDP, destroyed before it was assured", with(with(tcp(Destroyed, 0, all), udp), fresh), false, ignored},
	}
	for _, test := range tests {
		f := DefaultFilter()
		if got := f.judge(&test.report, test.labels); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// TestJudgeClosingStates: without ESTABLISHED the closing states are told.
func TestJudgeClosingStates(t *testing.T) {
	f := DefaultFilter()
	f.States = StatesOf(TCPFinWait, TCPTimeWait)
	e := natEntry(1)
	r := Report{Kind: Changed, Entry: e, Fields: HasReply | HasStatus | HasTimeout | HasTCP}
	for state, want := range map[uint8]verdict{TCPEstablished: ignored, TCPFinWait: told, TCPTimeWait: told, TCPClose: gone} {
		if r.Entry.TCP.State = state; f.judge(&r, false) != want {
			t.Errorf("state %d: %d, want %d", state, f.judge(&r, false), want)
		}
	}
}
