// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hafast/pkg/conntrack/record"
)

// varietyRules make entries of all kinds: NAT of the source (most), of the destination
// (10.8.8.9, fd08::9), of both (10.8.8.8, fd08::8); zones, a mark, a label, and the ftp
// helper, which expects data connections.
const varietyRules = `
table inet router {
	ct helper ftp {
		type "ftp" protocol tcp
		l3proto ip
	}
	chain zones {
		type filter hook prerouting priority -300
		udp dport 7001 ct zone set 7
		udp sport 7001 ct zone set 7
		udp dport 7002 ct original zone set 8
	}
	chain marks {
		type filter hook prerouting priority -150
		tcp dport 8080 ct mark set 42
		tcp dport 81 ct label set 5
		tcp dport 21 ct helper set "ftp"
	}
	chain forward {
		type filter hook forward priority 0; policy drop
		ct state invalid drop
		ct state established,related accept
		iifname { "ac", "bc" } ct state new accept
	}
	chain destination {
		type nat hook prerouting priority -100
		ip daddr 10.8.8.0/24 tcp dport 8080 dnat ip to 10.2.0.2:80
		ip6 daddr fd08::/64 tcp dport 8080 dnat ip6 to [fd02::2]:80
	}
	chain source {
		type nat hook postrouting priority 100
		ct original ip daddr 10.8.8.9 accept
		ct original ip6 daddr fd08::9 accept
		oifname { "as", "bs" } ip saddr 10.1.0.0/24 snat ip to 10.9.9.9
		oifname { "as", "bs" } ip6 saddr fd01::/64 snat ip6 to fd09::9
	}
}`

// variety is traffic of all kinds, held open.
type variety struct {
	tcp, udp []net.Conn
}

// makeVariety makes connections of all kinds through the first router.
func makeVariety(t testing.TB, l *lab) *variety {
	t.Helper()
	for _, service := range []string{serverAddr + ":80", serverAddr + ":81", "[" + serverAddr6 + "]:80"} {
		l.server.listen(service, echo)
	}
	l.server.listen(serverAddr+":21", l.servePassive)
	l.server.listen(serverAddr+":2000", echo)
	for _, service := range []string{serverAddr + ":53", serverAddr + ":7001", serverAddr + ":7002", "[" + serverAddr6 + "]:53"} {
		l.server.echoUDP(service)
	}

	v := &variety{}
	for _, to := range []string{
		serverAddr + ":80", serverAddr + ":81", "10.8.8.8:8080", "10.8.8.9:8080",
		"[" + serverAddr6 + "]:80", "[fd08::8]:8080", "[fd08::9]:8080",
	} {
		v.tcp = append(v.tcp, l.client.dial("tcp", to))
	}
	v.tcp = append(v.tcp, l.passive()...)
	for _, to := range []string{serverAddr + ":53", serverAddr + ":7001", serverAddr + ":7002", "[" + serverAddr6 + "]:53"} {
		v.udp = append(v.udp, l.client.dial("udp", to))
	}
	for _, c := range v.udp {
		if err := query(c); err != nil {
			t.Fatal(err)
		}
	}
	l.client.run("ping", "-c1", "-W5", "-I", clientAddr, serverAddr)
	l.client.run("ping", "-6", "-c1", "-W5", "-I", clientAddr6, serverAddr6)
	for _, c := range v.tcp {
		if c.RemoteAddr().(*net.TCPAddr).Port == 21 {
			continue
		}
		if err := converse(c, 1, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// echoUDP answers datagrams in the namespace.
func (h *host) echoUDP(addr string) {
	h.t.Helper()
	var c net.PacketConn
	h.do(func() (err error) {
		c, err = net.ListenPacket("udp", addr)
		return err
	})
	h.t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
}

// query sends a datagram and wants an answer.
func query(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("query")); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 16))
	return err
}

// servePassive is as much of an FTP server as the helper wants to see: it offers a
// data connection to port 2000.
func (l *lab) servePassive(c net.Conn) {
	defer c.Close()
	// The helper looks at a line only if it has seen where the one before it ended.
	fmt.Fprint(c, "220 ready\r\n")
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "PASV") {
			addr := netip.MustParseAddr(serverAddr).As4()
			port := binary.BigEndian.AppendUint16(nil, 2000)
			fmt.Fprintf(c, "227 Entering Passive Mode (%d,%d,%d,%d,%d,%d)\r\n", addr[0], addr[1], addr[2], addr[3], port[0], port[1])
		}
	}
}

// passive opens a control connection and its data connection.
func (l *lab) passive() []net.Conn {
	l.t.Helper()
	control := l.client.dial("tcp", serverAddr+":21")
	if err := control.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		l.t.Fatal(err)
	}
	lines := bufio.NewReader(control)
	for _, want := range []string{"220", "227"} {
		if answer, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(answer, want) {
			l.t.Fatalf("FTP server says %q, %v, want %s", answer, err, want)
		}
		if want == "220" {
			fmt.Fprint(control, "PASV\r\n")
		}
	}
	return []net.Conn{control, l.client.dial("tcp", serverAddr+":2000")}
}

// everything is a filter that wants all that can be replicated.
func everything() Filter {
	f := DefaultFilter()
	f.Unassured = true
	f.Protocols = append(f.Protocols, 1, 58) // ICMP, ICMPv6
	return f
}

// byKey orders entries for comparison.
func byKey(entries []record.Entry) map[record.EntryKey]record.Entry {
	m := map[record.EntryKey]record.Entry{}
	for _, e := range entries {
		m[e.Key] = e
	}
	return m
}
