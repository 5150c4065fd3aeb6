// SPDX-License-Identifier: Apache-2.0

package path

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"hafast/test/netns/lab"
)

// sinkPort is where the UDP datagrams go.
const sinkPort = 5002

// Way is how packets get from the client to the host that serves them.
type Way struct {
	Name string
	// prepare sets the way up on a pair that was reset, haproxy running on the server.
	prepare func(ctx context.Context, s *site) error
	// server is the host of the pair that serves, target whom the client asks.
	server func(l *lab.Lab) *lab.Host
	target func(l *lab.Lab) netip.Addr
}

// site is a pair while one way is in force.
type site struct {
	lab *lab.Lab
	// near has the VIP, far is the other one.
	near, far *lab.Host
	// undo are what takes the way down again, in order.
	undo []func() error
}

// names of the ways, for choosing among them.
const (
	direct     = "direct"
	hafastWay  = "hafast"
	dnatWay    = "nft dnat"
	fwdWay     = "nft fwd"
	keepalived = "keepalived"
)

// Ways returns all of them, in the order of reports.
func Ways() []Way {
	near := func(l *lab.Lab) *lab.Host { a, _ := l.Pair(); return a }
	far := func(l *lab.Lab) *lab.Host { _, b := l.Pair(); return b }
	vip := func(*lab.Lab) netip.Addr { return lab.VIP }
	return []Way{
		{direct, func(context.Context, *site) error { return nil }, far, func(l *lab.Lab) netip.Addr { return far(l).Addr }},
		{hafastWay, steer, far, vip},
		{dnatWay, translate, far, vip},
		{fwdWay, forward, far, vip},
		{keepalived, stay, near, vip},
	}
}

// WayNames are the names of all ways.
func WayNames() []string {
	var names []string
	for _, w := range Ways() {
		names = append(names, w.Name)
	}
	return names
}

// ErrUnknownWay is returned for a way's name that does not exist.
var ErrUnknownWay = errors.New("unknown way")

// ParseWay returns the way of that name.
func ParseWay(name string) (Way, error) {
	for _, w := range Ways() {
		if w.Name == name {
			return w, nil
		}
	}
	return Way{}, fmt.Errorf("%w %q; there are %s", ErrUnknownWay, name, strings.Join(WayNames(), ", "))
}

// steer runs hafast on both hosts. Haproxy is not started on the near one; since it only
// counts for two points of priority, the VIP is there all the same.
func steer(ctx context.Context, s *site) error {
	f, err := lab.NewHafast()
	if err != nil {
		return err
	}
	f.Config = func(h *lab.Host) string { return s.hafastConfig(f, h) }
	for _, h := range []*lab.Host{s.near, s.far} {
		if err := f.Start(ctx, h); err != nil {
			return err
		}
	}
	return lab.WaitSettled(ctx, f, s.near, s.far)
}

func (s *site) hafastConfig(f *lab.Hafast, h *lab.Host) string {
	peer, priority := s.far, 150
	if h == s.far {
		peer, priority = s.near, 100
	}
	return fmt.Sprintf(`node: %s
interface: %s
peers: [%s]
instances:
  - {name: VI_1, vrid: 51, priority: %d, vips: [%s]}
haproxy: {pidfile: %s, weight: 2}
services:
  - {vip: %[5]s, port: %[7]d, proto: tcp}
  - {vip: %[5]s, port: %[8]d, proto: udp}
balance: shared
control: {socket: %s}
state_dir: %s
bpf_dir: %s
xdp: native
`, h.Name, lab.Interface, peer.Addr, priority, lab.VIP, h.HAProxyPIDFile(), lab.HTTPPort, sinkPort,
		f.Socket(h), f.StateDir(h), f.BPFDir(h))
}

// stay is a keepalived pair as the how-to sets it up, served where the VIP is.
func stay(ctx context.Context, s *site) error {
	sys := lab.KeepalivedSeed()
	for _, h := range []*lab.Host{s.near, s.far} {
		if err := sys.Start(ctx, h); err != nil {
			return err
		}
	}
	return lab.WaitSettled(ctx, sys, s.near, s.far)
}

// translate sends the VIP's flows on by connection tracking.
func translate(ctx context.Context, s *site) error {
	if err := s.near.AddAddr(lab.Interface, netip.PrefixFrom(lab.VIP, 32)); err != nil {
		return err
	}
	for _, set := range [][2]string{
		{"net.ipv4.ip_forward", "1"},
		// In and out by one interface is what the kernel would tell clients to avoid.
		{"net.ipv4.conf.all.send_redirects", "0"},
		{"net.ipv4.conf." + lab.Interface + ".send_redirects", "0"},
	} {
		if err := s.setSysctl(set[0], set[1]); err != nil {
			return err
		}
	}
	return s.nft(ctx, fmt.Sprintf(`table ip bench {
	chain before { type nat hook prerouting priority dstnat; ip daddr %s dnat to %s; }
	chain after { type nat hook postrouting priority srcnat; ip daddr %[2]s masquerade; }
}`, lab.VIP, s.far.Addr), "ip")
}

// forward sends the VIP's packets on as they are, under another hardware address.
func forward(ctx context.Context, s *site) error {
	vip := netip.PrefixFrom(lab.VIP, 32)
	if err := s.near.AddAddr(lab.Interface, vip); err != nil {
		return err
	}
	// The far host takes the VIP for its own and does not tell anybody.
	for _, set := range [][2]string{{"arp_ignore", "1"}, {"arp_announce", "2"}} {
		if err := s.far.SetSysctl("net.ipv4.conf.all."+set[0], set[1]); err != nil {
			return err
		}
	}
	if err := s.far.AddAddr("lo", vip); err != nil {
		return err
	}
	return s.nft(ctx, fmt.Sprintf(`table netdev bench {
	chain ingress {
		type filter hook ingress device %[1]s priority 0;
		ip daddr %[2]s ip protocol { tcp, udp } ether daddr set %[3]s ether saddr set %[4]s fwd to %[1]s;
	}
}`, lab.Interface, lab.VIP, s.far.MAC, s.near.MAC), "netdev")
}

// setSysctl sets one on the near host until the way is taken down.
func (s *site) setSysctl(key, value string) error {
	was, err := s.near.Sysctl(key)
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { return s.near.SetSysctl(key, was) })
	return s.near.SetSysctl(key, value)
}

// nft loads a table "bench" into the near host until the way is taken down.
func (s *site) nft(ctx context.Context, rules, family string) error {
	path := s.near.Path("bench.nft")
	if err := os.WriteFile(path, []byte(rules+"\n"), 0o644); err != nil {
		return err
	}
	if _, err := s.near.Run(ctx, "nft", "-f", path); err != nil {
		return err
	}
	s.undo = append(s.undo, func() error {
		// Not ctx: that may have ended.
		_, err := s.near.Run(context.Background(), "nft", "delete", "table", family, "bench")
		return err
	})
	return nil
}

// setUp starts from a clean pair and returns when the way serves the client.
func (w Way) setUp(ctx context.Context, l *lab.Lab) (_ *site, err error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	s := &site{lab: l}
	s.near, s.far = l.Pair()
	defer func() {
		if err != nil {
			err = errors.Join(err, s.takeDown())
		}
	}()
	for _, h := range []*lab.Host{s.near, s.far} {
		if err := h.Reset(); err != nil {
			return nil, err
		}
	}
	if err := w.server(l).StartHAProxy(ctx); err != nil {
		return nil, err
	}
	if err := l.Client().FlushNeighbours(); err != nil {
		return nil, err
	}
	if err := w.prepare(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

const (
	// setupTimeout bounds all that comes before the load.
	setupTimeout = 20 * time.Second
	// serveTimeout is how long a way may take to serve once it is set up.
	serveTimeout = 5 * time.Second
)

// takeDown leaves two clean hosts.
func (s *site) takeDown() error {
	var errs []error
	for _, undo := range s.undo {
		errs = append(errs, undo())
	}
	for _, h := range []*lab.Host{s.near, s.far} {
		errs = append(errs, h.Reset())
	}
	return errors.Join(errs...)
}
