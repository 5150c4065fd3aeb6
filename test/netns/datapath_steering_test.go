// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/capture"
	"hafast/test/netns/lab"
)

// TestMovesKeepConnections moves VIPs to and fro under load. Nothing that haproxy
// serves is to notice.
func TestMovesKeepConnections(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for _, c := range []struct {
		name string
		conf body
		vip  netip.Addr
	}{
		{"IPv6", func(h *lab.Host) string { return watching(h) + "instances:\n" + instance6(h, "") }, lab.VIP6},
		{"virtual MAC", single("", "virtual_mac: true\n"), lab.VIP},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.run(t, c.conf)
			p.sharing(t)
			load := p.traffic(t, c.vip)
			ofA, ofB := p.holdBoth(t, c.vip, fewHeld)
			for range 2 {
				for _, h := range []*lab.Host{p.b, p.a} {
					if h == p.b {
						p.asks(t, p.a, 0, "drain")
					} else {
						p.asks(t, p.a, 0, "ready")
					}
					p.settled(t, h)
					p.answeredByOne(t, c.vip)
					ofA.live(t, p.a.Name)
					ofB.live(t, p.b.Name)
				}
			}
			p.sharing(t)
			moreA, moreB := p.holdBoth(t, c.vip, fewHeld)
			load.unharmed(t)
			append(ofA, moreA...).live(t, p.a.Name)
			append(ofB, moreB...).live(t, p.b.Name)
			if n := p.counter(t, p.a, "tx_flow"); n == 0 {
				t.Error("nothing was sent on to the peer")
			}
		})
	}
}

// TestPortsUsedAgain has a client use ports again while the host that served them
// before still remembers their last connections (TIME_WAIT), and its data path does
// not. Half of the new connections are the other host's.
func TestPortsUsedAgain(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.runInTurn(t, single("", "preempt: false\n"))
	p.sharing(t)
	const first, n = 6000, 40
	request := func(t *testing.T) {
		t.Helper()
		for port := first; port < first+n; port++ {
			if err := p.requestFrom(t, port); err != nil {
				t.Fatalf("a request from port %d: %v", port, err)
			}
		}
	}
	// over has b take over from a, which then stands by in service.
	over := func(t *testing.T, between func(t *testing.T)) {
		t.Helper()
		p.asks(t, p.a, 0, "drain")
		p.settled(t, p.b)
		p.answeredBy(t, p.b, lab.VIP)
		between(t)
		p.asks(t, p.a, 0, "ready")
		p.sharing(t)
	}
	over(t, request) // b serves all of them
	p.stop(t, p.b)
	p.inState(t, p.a, lab.StateActive)
	p.start(t, p.b) // with an empty table
	p.settled(t, p.a)
	over(t, func(*testing.T) {})
	request(t)
}

// requestFrom gets the page from a port of the client's. The server ends the
// connection, so that it is the server that remembers it.
func (p *pair) requestFrom(t *testing.T, port int) error {
	t.Helper()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.Client().Addr, uint16(port))), Timeout: 5 * time.Second}
	var conn net.Conn
	err := p.Client().Do(func() (err error) {
		conn, err = dialer.DialContext(t.Context(), "tcp", netip.AddrPortFrom(lab.VIP, lab.HTTPPort).String())
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	if _, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return err
	}
	text, err := io.ReadAll(conn)
	if err == nil && !strings.HasSuffix(string(text), lab.PageText) {
		err = fmt.Errorf("the answer is %q", text)
	}
	return err
}

// answeredByOne is answeredBy where the hardware address is not the host's own.
func (p *pair) answeredByOne(t *testing.T, addr netip.Addr) {
	t.Helper()
	eventually(t, "one host to answer for "+addr.String(), func() bool {
		macs, err := p.Client().Responders(t.Context(), addr, 250*time.Millisecond)
		check(t, err)
		return len(macs) == 1
	})
}

// udpPort is where the tests' UDP service is.
const udpPort = 7001

// TestUDPService has both hosts answer datagrams, each with its name.
func TestUDPService(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	service := netip.AddrPortFrom(lab.VIP, udpPort)
	p.run(t, single(fmt.Sprintf("services: [{vip: %s, port: %d, proto: udp}]\n", service.Addr(), service.Port()), ""))
	for _, h := range []*lab.Host{p.a, p.b} {
		answerUDP(t, h, service)
	}
	shared := func(t *testing.T, nodes string) {
		t.Helper()
		eventually(t, "datagrams to be sent to "+nodes, func() bool {
			services := p.status(t, p.a).XDP.Services
			return len(services) == 1 && services[0].Proto == "udp" && strings.Join(services[0].Targets, " ") == nodes
		})
	}
	shared(t, "haa hab")
	// ask sends a datagram and tells who answers.
	ask := func(t *testing.T, conn net.Conn) (node string) {
		t.Helper()
		// A datagram may be lost, in theory.
		eventually(t, "a datagram to be answered", func() bool {
			check(t, conn.SetDeadline(time.Now().Add(time.Second)))
			if _, err := conn.Write([]byte("who?")); err != nil {
				return false
			}
			buf := make([]byte, 64)
			n, err := conn.Read(buf)
			node = string(buf[:n])
			return err == nil
		})
		return node
	}
	open := func(t *testing.T) net.Conn {
		t.Helper()
		conn, err := p.Client().Dial(within(t), "udp", service.String())
		check(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	of := make(map[string]held)
	for tries := 0; len(of[lab.HostA]) < fewHeld || len(of[lab.HostB]) < fewHeld; tries++ {
		if tries == 200 {
			t.Fatalf("of 200 clients %d are answered by %s, %d by %s", len(of[lab.HostA]), lab.HostA, len(of[lab.HostB]), lab.HostB)
		}
		conn := open(t)
		node := ask(t, conn)
		of[node] = append(of[node], conn)
	}
	same := func(t *testing.T) {
		t.Helper()
		for node, conns := range of {
			for _, conn := range conns {
				if now := ask(t, conn); now != node {
					t.Errorf("%s was answered by %s and now by %s", conn.LocalAddr(), node, now)
				}
			}
		}
	}
	same(t)

	// A drained host keeps what it has.
	p.asks(t, p.b, 0, "drain")
	shared(t, "haa")
	for range fewHeld {
		if node := ask(t, open(t)); node != lab.HostA {
			t.Errorf("a new client is answered by %s", node)
		}
	}
	same(t)

	// What a dead one had is begun anew elsewhere.
	check(t, p.b.SilentDeath())
	p.targetState(t, p.a, lab.HostB, "down")
	for _, conn := range of[lab.HostB] {
		if node := ask(t, conn); node != lab.HostA {
			t.Errorf("a client of the dead host is answered by %s", node)
		}
	}
}

// answerUDP answers every datagram to the service with the host's name.
func answerUDP(t *testing.T, h *lab.Host, service netip.AddrPort) {
	t.Helper()
	var conn *net.UDPConn
	check(t, h.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(service))
		return err
	}))
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 64)
		for {
			_, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort([]byte(h.Name), from)
		}
	})
	t.Cleanup(func() { _ = conn.Close(); wg.Wait() })
}

// TestPathMTU has a router on the way tell that a packet was too big for it. What it
// says has to reach the haproxy whose packet that was.
func TestPathMTU(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.run(t, dual("", ""))
	p.sharing(t)
	const mtu = 1300
	for _, vip := range []netip.Addr{lab.VIP, lab.VIP6} {
		name := "IPv4"
		if vip.Is6() {
			name = "IPv6"
		}
		t.Run(name, func(t *testing.T) {
			tap, err := capture.Open(p.Client(), lab.Interface)
			check(t, err)
			defer tap.Close()
			ofA, ofB := p.holdBoth(t, vip, 1)
			ofA.live(t, p.a.Name)
			ofB.live(t, p.b.Name)
			client := ofB[0].LocalAddr().(*net.TCPAddr).AddrPort()
			from := netip.AddrPortFrom(vip, lab.HeldPort)
			before := p.counter(t, p.a, "tx_icmp")
			check(t, tap.Send(tooBig(p.a, p.Client(), from, client, nextSeq(t, tap, from, client), mtu)))

			learned := func(h *lab.Host) bool {
				out, err := h.Run(t.Context(), "ip", "route", "get", client.Addr().String(), "from", vip.String())
				check(t, err)
				return strings.Contains(out, fmt.Sprintf("mtu %d", mtu))
			}
			eventually(t, "hab to know the path's MTU", func() bool { return learned(p.b) })
			if learned(p.a) {
				t.Error("haa has taken the other host's ICMP error to heart")
			}
			if now := p.counter(t, p.a, "tx_icmp"); now != before+1 {
				t.Errorf("%d ICMP errors were sent on, want 1", now-before)
			}
			ofB.live(t, p.b.Name)
		})
	}
}

// nextSeq is the sequence number that from will use next towards to, as far as the
// network has seen.
func nextSeq(t *testing.T, tap *capture.Tap, from, to netip.AddrPort) (next uint32) {
	t.Helper()
	const header = 20
	for _, frame := range tap.Since(time.Time{}) {
		ip, ok := frame.IP()
		if !ok || ip.Protocol != unix.IPPROTO_TCP || ip.Src != from.Addr() || ip.Dst != to.Addr() || len(ip.Payload) < header {
			continue
		}
		tcp := ip.Payload
		if binary.BigEndian.Uint16(tcp) != from.Port() || binary.BigEndian.Uint16(tcp[2:]) != to.Port() {
			continue
		}
		// The SYN comes first and counts as a byte, but there are others after it.
		next = binary.BigEndian.Uint32(tcp[4:]) + uint32(len(tcp)-4*int(tcp[12]>>4))
	}
	if next == 0 {
		t.Fatalf("no packet from %s to %s has been seen", from, to)
	}
	return next
}

// tooBig is the frame with a router's word that a TCP segment did not fit: Destination
// Unreachable, Fragmentation Needed (RFC 1191 section 4), or Packet Too Big (RFC 4443
// section 3.2). The router is the host sender; the frame goes to the host active.
func tooBig(active, sender *lab.Host, from, to netip.AddrPort, seq uint32, mtu uint16) []byte {
	tcp := binary.BigEndian.AppendUint16(nil, from.Port())
	tcp = binary.BigEndian.AppendUint16(tcp, to.Port())
	tcp = binary.BigEndian.AppendUint32(tcp, seq)
	tcp = append(tcp, 0, 0, 0, 0, 5<<4, 0x10, 0, 0, 0, 0, 0, 0)
	// Encoded as a whole packet, of which only the beginning travels.
	quoted := capture.IP{Src: from.Addr(), Dst: to.Addr(), TTL: 60, Protocol: unix.IPPROTO_TCP, Payload: append(tcp, make([]byte, 1400)...)}
	const ethernet, dontFragment = 14, 0x40
	inner := capture.Packet(capture.MAC{}, capture.MAC{}, quoted)[ethernet:][:100]

	ip := capture.IP{Src: sender.Addr, Dst: from.Addr(), TTL: 64, Protocol: unix.IPPROTO_ICMP}
	body := []byte{3, 4, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}
	if from.Addr().Is6() {
		ip.Src, ip.Protocol = sender.Addr6, unix.IPPROTO_ICMPV6
		body = []byte{2, 0, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}
	} else {
		inner[6] |= dontFragment
	}
	ip.Payload = append(body, inner...)
	sum := capture.PlainSum(ip)
	if from.Addr().Is6() {
		sum = capture.PseudoSum(ip)
	}
	binary.BigEndian.PutUint16(ip.Payload[2:], sum)
	return capture.Packet(capture.MACOf(active.MAC), capture.MACOf(sender.MAC), ip)
}
