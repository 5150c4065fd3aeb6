// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
)

// The lab: two routers that do SNAT with a forward chain that drops what it does not
// know, and a client and a server that use either of them.
//
//	            ca ── ac  a  as ── sa
//	client                              server
//	10.1.0.2    cb ── bc  b  bs ── sb   10.2.0.2
//	fd01::2                             fd02::2
//
// The server sees the client as 10.9.9.9 or fd09::9, and routes these to the router
// that the client uses.
type lab struct {
	t              testing.TB
	client, server *host
	a, b           *host
}

// host is a network namespace.
type host struct {
	t    testing.TB
	name string
	peer *nstest.Peer
	fd   int
}

const (
	clientAddr, serverAddr   = "10.1.0.2", "10.2.0.2"
	clientAddr6, serverAddr6 = "fd01::2", "fd02::2"
	natAddr, natAddr6        = "10.9.9.9", "fd09::9"
)

// routerRules accept new connections from the client alone; the client is translated.
const routerRules = `
table inet router {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state invalid counter drop
		ct state established,related accept
		iifname { "ac", "bc" } ct state new accept
	}
	chain translate {
		type nat hook postrouting priority 100;
		oifname { "as", "bs" } ip saddr 10.1.0.0/24 snat ip to 10.9.9.9
		oifname { "as", "bs" } ip6 saddr fd01::/64 snat ip6 to fd09::9
	}
}`

// newLab builds the lab with the given rules on both routers.
func newLab(t testing.TB, rules string) *lab {
	t.Helper()
	nstest.Enter(t)
	for _, pair := range [][2]string{{"ca", "ac"}, {"cb", "bc"}, {"sa", "as"}, {"sb", "bs"}} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = pair[0]
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: pair[1]}); err != nil {
			t.Fatalf("create veth: %v", err)
		}
	}
	l := &lab{
		t:      t,
		client: newHost(t, "client", "ca", "cb"), server: newHost(t, "server", "sa", "sb"),
		a: newHost(t, "a", "ac", "as"), b: newHost(t, "b", "bc", "bs"),
	}
	l.client.edge("ca", "cb", clientAddr, clientAddr6, 1)
	l.server.edge("sa", "sb", serverAddr, serverAddr6, 2)
	l.a.router("ac", "as", 1, rules)
	l.b.router("bc", "bs", 2, rules)
	l.use(l.a)
	return l
}

// newHost creates a namespace with interfaces of the lab's own.
func newHost(t testing.TB, name string, ifaces ...string) *host {
	t.Helper()
	h := &host{t: t, name: name, peer: nstest.NewPeer(t, ifaces[0])}
	h.do(func() (err error) {
		h.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	t.Cleanup(func() { unix.Close(h.fd) })
	// Without duplicate address detection: for the second or two that it takes, there is no
	// link-local address to ask neighbours from, and nothing of IPv6 is forwarded.
	h.sysctl("net.ipv6.conf.default.accept_dad", "0")
	h.sysctl("net.ipv6.conf."+ifaces[0]+".accept_dad", "0")
	h.peer.Do(func() { nstest.Down(t, ifaces[0]) })
	for _, iface := range ifaces[1:] {
		if err := netlink.LinkSetNsFd(nstest.Link(t, iface), h.fd); err != nil {
			t.Fatalf("move %s: %v", iface, err)
		}
	}
	h.peer.Do(func() {
		for _, iface := range ifaces {
			nstest.Up(t, iface)
		}
	})
	return h
}

// edge sets up the client or the server: addresses on lo, an interface to each router.
func (h *host) edge(toA, toB, addr, addr6 string, side int) {
	h.t.Helper()
	var b batch
	b.add("addr add %s/32 dev lo", addr)
	b.add("addr add %s/128 dev lo nodad", addr6) // a source address at once, however busy the kernel is
	for i, iface := range []string{toA, toB} {
		b.add("addr add 10.0.%d%d.1/24 dev %s", side, i+1, iface)
		b.add("addr add fd00:%d%d::1/64 dev %s nodad", side, i+1, iface)
	}
	h.ip(b)
}

// router sets up a router; number is its place in the networks' addresses.
func (h *host) router(inside, outside string, number int, rules string) {
	h.t.Helper()
	var b batch
	for side, iface := range []string{inside, outside} {
		b.add("addr add 10.0.%d%d.2/24 dev %s", side+1, number, iface)
		b.add("addr add fd00:%d%d::2/64 dev %s nodad", side+1, number, iface)
		b.add("route add 10.%d.0.2/32 via 10.0.%d%d.1", side+1, side+1, number)
		b.add("route add fd0%d::2/128 via fd00:%d%d::1", side+1, side+1, number)
	}
	h.ip(b)
	h.sysctl("net.ipv4.ip_forward", "1")
	h.sysctl("net.ipv6.conf.all.forwarding", "1")
	h.rules(rules)
}

// use sends the connections of both ends through a router.
func (l *lab) use(router *host) {
	l.t.Helper()
	number := 1
	if router == l.b {
		number = 2
	}
	var client, server batch
	for _, prefix := range []string{serverAddr + "/32", "10.8.8.0/24"} {
		client.add("route replace %s via 10.0.1%d.2 src %s", prefix, number, clientAddr)
	}
	for _, prefix := range []string{serverAddr6 + "/128", "fd08::/64"} {
		client.add("route replace %s via fd00:1%d::2 src %s", prefix, number, clientAddr6)
	}
	for _, addr := range []string{natAddr, clientAddr} {
		server.add("route replace %s/32 via 10.0.2%d.2 src %s", addr, number, serverAddr)
	}
	for _, addr := range []string{natAddr6, clientAddr6} {
		server.add("route replace %s/128 via fd00:2%d::2 src %s", addr, number, serverAddr6)
	}
	l.client.ip(client)
	l.server.ip(server)
}

// do calls f in the namespace.
func (h *host) do(f func() error) {
	h.t.Helper()
	var err error
	h.peer.Do(func() { err = f() })
	if err != nil {
		h.t.Fatalf("%s: %v", h.name, err)
	}
}

// run runs a command in the namespace and returns what it prints.
func (h *host) run(name string, args ...string) string {
	h.t.Helper()
	return h.pipe("", name, args...)
}

func (h *host) pipe(stdin, name string, args ...string) (out string) {
	h.t.Helper()
	h.do(func() error {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		b, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, b, stderr.String())
		}
		out = string(b)
		return nil
	})
	return out
}

// batch are commands for ip, a line each.
type batch []string

func (b *batch) add(format string, args ...any) { *b = append(*b, fmt.Sprintf(format, args...)) }

// ip carries out a batch.
func (h *host) ip(b batch) {
	h.t.Helper()
	h.pipe(strings.Join(b, "\n"), "ip", "-batch", "-")
}

func (h *host) rules(rules string) {
	h.t.Helper()
	h.pipe("flush ruleset\n"+rules, "nft", "-f", "-")
}

func (h *host) sysctl(name, value string) {
	h.t.Helper()
	h.do(func() error {
		return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0)
	})
}

// table opens the namespace's table.
func (h *host) table() (table *Table) {
	h.t.Helper()
	h.do(func() (err error) {
		table, err = Open()
		return err
	})
	h.t.Cleanup(func() { table.Close() })
	return table
}

// subscribe follows the namespace's table.
func (h *host) subscribe(table *Table, options Options) (events *Events) {
	h.t.Helper()
	h.do(func() (err error) {
		events, err = Subscribe(table, options)
		return err
	})
	h.t.Cleanup(func() { events.Close() })
	return events
}

// listen accepts TCP connections in the namespace and hands them to serve.
func (h *host) listen(addr string, serve func(net.Conn)) {
	h.t.Helper()
	var l net.Listener
	h.do(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	h.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
}

// dial connects from the namespace.
func (h *host) dial(network, addr string) (c net.Conn) {
	h.t.Helper()
	h.do(func() (err error) {
		c, err = (&net.Dialer{Timeout: 5 * time.Second}).Dial(network, addr)
		return err
	})
	h.t.Cleanup(func() { c.Close() })
	return c
}
