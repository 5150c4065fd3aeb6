package wires_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// patience bounds each wait. Guests whose processor is emulated are some 20 times slower
// than their host.
const patience = 90 * time.Second

// port is what the haproxies listen on.
const port = 8080

// pair is two hosts on a wire, and a client.
type pair struct {
	t      *testing.T
	wire   wire
	lab    *lab.Lab
	sys    *lab.Hafast
	a, b   *lab.Host
	client *lab.Host
}

// newPair builds the wire. Nothing runs on it yet.
func newPair(t *testing.T, w wire) *pair {
	t.Helper()
	lab.SkipUnlessRoot(t)
	lab.SkipUnlessInstalled(t, "ip", "nsenter", "ethtool", "haproxy")
	l, err := lab.NewBare(t.Context(), w.options)
	check(t, err)
	t.Cleanup(func() { check(t, l.Close()) })
	p := &pair{t: t, wire: w, lab: l, client: l.Client()}
	p.a, p.b = l.Pair()
	can(t, p.a, w.link)
	if w.lay == nil {
		p.wire.iface, p.wire.vip, p.wire.network = lab.Interface, lab.VIP, "10.224.147.%d"
	}
	for _, h := range []*lab.Host{p.a, p.b, p.client} {
		for _, line := range w.lay {
			if strings.Contains(line, "%[1]") || strings.Contains(line, "%02[1]") {
				line = fmt.Sprintf(line, last(h))
			}
			if _, err := h.Run(t.Context(), "sh", "-c", line); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.sys, err = lab.NewHafast()
	check(t, err)
	p.sys.Config = p.config
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range []*lab.Host{p.a, p.b} {
				if daemon := p.sys.Proc(h); daemon != nil {
					t.Logf("log of %s:\n%s", h.Name, tail(daemon.Log(), 60))
				}
			}
		}
	})
	return p
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// last is the last byte of the host's address.
func last(h *lab.Host) int { b := h.Addr.As4(); return int(b[3]) }

// addr is the host's address on the wire.
func (p *pair) addr(h *lab.Host) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf(p.wire.network, last(h)))
}

func (p *pair) other(h *lab.Host) *lab.Host {
	if h == p.a {
		return p.b
	}
	return p.a
}

// config is a host's: patient, since this is about wires and not about how quick it is.
func (p *pair) config(h *lab.Host) string {
	priority := 150
	if h == p.b {
		priority = 100
	}
	return fmt.Sprintf(`node: %s
interface: %s
peers: [%s]
instances:
  - {name: VI_1, vrid: 51, priority: %d, advert_interval: 200ms, vips: [%s]}
haproxy: {pidfile: %s}
liveness: {interval: 10ms, multiplier: 50, lease: 2s}
control: {socket: %s}
state_dir: %s
bpf_dir: %s
%s`, h.Name, p.wire.iface, p.addr(p.other(h)), priority, p.wire.vip, h.HAProxyPIDFile(),
		p.sys.Socket(h), p.sys.StateDir(h), p.sys.BPFDir(h), p.wire.config)
}

// start starts haproxy and hafast on both hosts, and waits until the first is Active.
func (p *pair) start() {
	p.t.Helper()
	for _, h := range []*lab.Host{p.a, p.b} {
		p.haproxy(h)
		check(p.t, p.sys.Start(p.t.Context(), h))
	}
	p.settled(p.a, p.b)
}

// haproxy starts one that answers with the host's name.
func (p *pair) haproxy(h *lab.Host) {
	p.t.Helper()
	config := h.Path("haproxy.cfg")
	check(p.t, os.WriteFile(config, fmt.Appendf(nil, `global
  maxconn 4000
defaults
  mode http
  timeout client 60s
  timeout http-keep-alive 60s
frontend f
  bind :::%d v4v6
  http-request return status 200 content-type text/plain string %q
`, port, h.Name), 0o644))
	daemon, err := h.Start("haproxy", "haproxy", "-db", "-f", config)
	check(p.t, err)
	check(p.t, os.WriteFile(h.HAProxyPIDFile(), fmt.Appendln(nil, daemon.PID()), 0o644))
}

// state is that of the host's instance, empty while its daemon does not answer.
func (p *pair) state(h *lab.Host) string {
	st, err := control.NewClient(p.sys.Socket(h)).Status(p.t.Context())
	if err != nil || len(st.Instances) != 1 {
		return ""
	}
	return st.Instances[0].State
}

func (p *pair) settled(active, backup *lab.Host) {
	p.t.Helper()
	p.eventually(active.Name+" alone to be active", func() bool {
		return p.state(active) == string(lab.StateActive) && p.state(backup) == string(lab.StateBackup)
	})
}

func (p *pair) eventually(what string, cond func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	check(p.t, lab.Eventually(ctx, what, cond))
}

func (p *pair) status(h *lab.Host) control.Status {
	p.t.Helper()
	st, err := control.NewClient(p.sys.Socket(h)).Status(p.t.Context())
	check(p.t, err)
	return st
}

// peer is what a host thinks of the other's haproxy.
func (p *pair) peer(h *lab.Host) (found control.Target) {
	p.t.Helper()
	for _, target := range p.status(h).Targets {
		if !target.Self {
			return target
		}
	}
	return found
}

// decided waits until the host knows whether its frames arrive at the other one.
func (p *pair) decided(h *lab.Host, leg string) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("the leg from %s to be %s", h.Name, leg), func() bool { return p.peer(h).Leg == leg })
}

// shared waits until the host gives new flows to these nodes.
func (p *pair) shared(h *lab.Host, nodes ...string) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("%s to give new flows to %v", h.Name, nodes), func() bool {
		services := p.status(h).XDP.Services
		return len(services) > 0 && !slices.ContainsFunc(services, func(s control.XDPService) bool { return !slices.Equal(s.Targets, nodes) })
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
