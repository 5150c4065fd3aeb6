// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"hafast/internal/nlmsg"
	"hafast/pkg/conntrack/record"
)

// anyAddress draws an address of a family, from a few networks.
func anyAddress(t *rapid.T, v4 bool, name string) record.Address {
	if v4 {
		first := rapid.SampledFrom([]byte{10, 127, 192}).Draw(t, name+" network")
		return mapped([4]byte{first, rapid.ByteRange(0, 1).Draw(t, name+" subnet"), 0, rapid.Byte().Draw(t, name)})
	}
	first := rapid.SampledFrom([]byte{0xfd, 0x20, 0}).Draw(t, name+" network")
	return record.Address{0: first, 5: rapid.ByteRange(0, 1).Draw(t, name+" subnet"), 15: rapid.ByteRange(1, 3).Draw(t, name)}
}

// anyEntry draws an entry as the kernel could have it, without NAT.
func anyEntry(t *rapid.T) record.Entry {
	v4 := rapid.Bool().Draw(t, "IPv4")
	proto := rapid.SampledFrom([]uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_SCTP, unix.IPPROTO_GRE, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6}).Draw(t, "protocol")
	port := rapid.SampledFrom([]uint16{1, 80, 9406, 65535})
	e := record.Entry{
		Key: record.EntryKey{
			Tuple: record.Tuple{
				Src: anyAddress(t, v4, "source"), Dst: anyAddress(t, v4, "destination"),
				SrcPort: port.Draw(t, "source port"), DstPort: port.Draw(t, "destination port"), Proto: proto,
			},
			Zone: rapid.SampledFrom([]uint16{0, 0, 7}).Draw(t, "zone"),
		},
		Status:  statusConfirmed | rapid.Uint32().Draw(t, "status")&statusSettable,
		Timeout: time.Duration(rapid.IntRange(1, 432000).Draw(t, "timeout")) * time.Second,
		Mark:    rapid.SampledFrom([]uint32{0, 1, 0xffffffff}).Draw(t, "mark"),
	}
	e.Reply = plainReply(&e)
	if rapid.Bool().Draw(t, "labels") {
		e.Labels[rapid.IntRange(0, 15).Draw(t, "label")] = 1
	}
	if proto == unix.IPPROTO_TCP {
		e.TCP = record.TCP{
			State:         rapid.Uint8Range(1, 9).Draw(t, "state"),
			ScaleOriginal: rapid.Uint8Range(0, 14).Draw(t, "scale"), ScaleReply: rapid.Uint8Range(0, 14).Draw(t, "reply scale"),
			FlagsOriginal: rapid.Byte().Draw(t, "flags"), FlagsReply: rapid.Byte().Draw(t, "reply flags"),
		}
	}
	if rapid.Bool().Draw(t, "master") {
		e.Master = e.Key
		e.Master.Tuple.DstPort++
		e.Status |= statusExpected
	}
	return e
}

// asReplica is what a host makes of an entry that it is told.
func asReplica(e record.Entry) record.Entry {
	if e.Key.Tuple.Proto == unix.IPPROTO_TCP {
		const travel = tcpWindowScale | tcpSACKPerm | tcpCloseInit
		e.TCP.FlagsOriginal = e.TCP.FlagsOriginal&travel | tcpBeLiberal
		e.TCP.FlagsReply = e.TCP.FlagsReply&travel | tcpBeLiberal
	}
	return e
}

func first(t interface{ Fatal(...any) }, b []byte) nlmsg.Message {
	for m := range nlmsg.Messages(b) {
		return m
	}
	t.Fatal("no message")
	return nlmsg.Message{}
}

// TestCreateTellsAll: what is written to create an entry is read as that entry.
func TestCreateTellsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anyEntry(t)
		var b nlmsg.Builder
		appendCreate(&b, 1, &e, e.Master != record.EntryKey{})
		var r Report
		if err := Decode(first(t, b.Bytes()), &r); err != nil {
			t.Fatal(err)
		}
		// EXPECTED follows from the master.
		r.Entry.Status |= e.Status & statusExpected
		if want := asReplica(e); r.Entry != want {
			t.Fatalf("written and read:\n%+v, want\n%+v", r.Entry, want)
		}
	})
}

// TestSocketFilter: what the socket filter drops in the kernel, judge would ignore;
// and what judge ignores for what the filter looks at, it drops.
func TestSocketFilter(t *testing.T) {
	send, receive := socketPair(t)
	reader := newReader()
	rapid.Check(t, func(t *rapid.T) {
		f := anyFilter(t)
		const own = 4711
		program := socketFilter(&f, own, true)
		fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
		if err := unix.SetsockoptSockFprog(receive.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog); err != nil {
			t.Fatalf("%d instructions: %v", len(program), err)
		}
		message, byUs := anyEvent(t, own)
		if err := unix.Sendto(send.fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: receive.port}); err != nil && err != unix.ECONNREFUSED {
			t.Fatal(err)
		}
		n, err := reader.read(receive.fd)
		if err != nil {
			t.Fatal(err)
		}
		var r Report
		if err := Decode(first(t, message), &r); err != nil {
			t.Fatal(err)
		}
		wanted := !byUs && f.judge(&r, false) != ignored
		if wanted && n == 0 {
			t.Fatalf("dropped, though judge says %d of %+v", f.judge(&r, false), r)
		}
		// judge wants TCP to be assured too, which a TCP entry is in all states in which
		// it is wanted.
		isTCP := r.Entry.Key.Tuple.Proto == unix.IPPROTO_TCP
		if !wanted && n != 0 && !(isTCP && r.Entry.Status&statusAssured == 0) {
			t.Fatalf("not dropped: %+v", r)
		}
	})
}

func anyFilter(t *rapid.T) Filter {
	f := DefaultFilter()
	f.Unassured = rapid.Bool().Draw(t, "unassured")
	f.SyncPort = rapid.SampledFrom([]uint16{0, 9406}).Draw(t, "sync port")
	if rapid.Bool().Draw(t, "with ICMP") {
		f.Protocols = append(f.Protocols, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6)
	}
	if rapid.Bool().Draw(t, "with TIME_WAIT") {
		f.States |= StatesOf(TCPTimeWait)
	}
	if rapid.Bool().Draw(t, "without ESTABLISHED") {
		f.States &^= StatesOf(TCPEstablished)
	}
	prefix := rapid.SampledFrom(prefixes("10.0.0.0/8", "10.1.0.0/16", "10.0.0.128/25", "10.0.0.3/32", "0.0.0.0/0", "fd00::/8",
		"fd00::/48", "fd00::2/128", "::/0", "2000::/3", "fd00:0:1::/33"))
	f.Include = rapid.SliceOfN(prefix, 0, 3).Draw(t, "include")
	f.Exclude = slices.Concat(f.Exclude, rapid.SliceOfN(prefix, 0, 2).Draw(t, "exclude"))
	return f
}

// anyEvent draws an event, as the kernel writes it.
func anyEvent(t *rapid.T, own uint32) (message []byte, byUs bool) {
	e := anyEntry(t)
	var b nlmsg.Builder
	appendCreate(&b, 0, &e, e.Master != record.EntryKey{})
	message = b.Bytes()
	setFlags, setType := rapid.SampledFrom([]uint16{0, unix.NLM_F_CREATE | unix.NLM_F_EXCL}).Draw(t, "flags"), uint16(typeNew)
	if rapid.Bool().Draw(t, "destroyed") {
		setType = typeDelete
	}
	byUs = rapid.Bool().Draw(t, "by us")
	header(message, setType, setFlags, map[bool]uint32{true: own}[byUs])
	return message, byUs
}
