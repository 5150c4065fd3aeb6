// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// halfOpen leaves a listener of this host with a SYN that it has answered and whose
// ACK it waits for.
func halfOpen(f rig.Family, port uint16) given {
	return func(t *testing.T, w *rig.World) {
		t.Helper()
		listen(t, w, netip.AddrPortFrom(f.VIP, port))
		greet(t, w, f, port)
	}
}

// cookie makes a listener answer a SYN with a cookie, and returns that.
func cookie(t *testing.T, w *rig.World, f rig.Family, port uint16) uint32 {
	t.Helper()
	const always = "2"
	set := func(value string) {
		var err error
		w.Do(func() { err = os.WriteFile("/proc/sys/net/ipv4/tcp_syncookies", []byte(value), 0) })
		check(t, err)
	}
	set(always)
	t.Cleanup(func() { set("1") })
	listen(t, w, netip.AddrPortFrom(f.VIP, port))
	return greet(t, w, f, port)
}

// handmade is a packet of the client that has no stack.
func handmade(f rig.Family, port uint16) frames.Packet {
	p := f.ToVIP(port)
	p.From = netip.AddrPortFrom(f.Handmade, rig.ClientPort)
	return p
}

// greet sends a SYN of the handmade client by the wire, and returns the sequence
// number of the answer.
func greet(t *testing.T, w *rig.World, f rig.Family, port uint16) (sequence uint32) {
	t.Helper()
	p := handmade(f, port)
	p.Seq, p.Dst = firstSeq, rig.WireMAC()
	var fd, index int
	var err error
	w.Do(func() {
		var end *net.Interface
		if end, err = net.InterfaceByName(rig.WireEnd); err == nil {
			index = end.Index
			fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL)))
		}
	})
	check(t, err)
	defer unix.Close(fd)
	check(t, unix.Sendto(fd, p.TCP(frames.SYN), 0, &unix.SockaddrLinklayer{Ifindex: index}))
	frame := make([]byte, 2048)
	eventually.True(t, "an answer to the SYN", func() bool {
		for {
			n, _, err := unix.Recvfrom(fd, frame, unix.MSG_DONTWAIT)
			if err != nil {
				return false
			}
			l4 := l4At(f)
			if n < l4+20 || frame[l4+13] != byte(frames.SYN|frames.ACK) ||
				binary.BigEndian.Uint16(frame[l4:]) != port || binary.BigEndian.Uint16(frame[l4+2:]) != rig.ClientPort {
				continue
			}
			sequence = binary.BigEndian.Uint32(frame[l4+4:])
			return true
		}
	})
	return sequence
}

// firstSeq is the sequence number of the handmade client's SYN.
const firstSeq = 1000

func htons(n uint16) uint16 { return n<<8 | n>>8 }
