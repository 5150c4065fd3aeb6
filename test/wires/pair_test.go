// SPDX-License-Identifier: Apache-2.0

package wires_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hafast/internal/control"
	"hafast/test/kernels/nics"
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
	// nics are the interfaces of a guest that hosts were lent.
	nics map[*lab.Host]string
	// baseline is how many new connections fail to each VIP without hafast, of
	// newConnections: see compare.
	baseline map[netip.Addr]int
}

// newPair builds the wire. Nothing runs on it yet.
func newPair(t *testing.T, w wire) *pair {
	t.Helper()
	lab.SkipUnlessRoot(t)
	lab.SkipUnlessInstalled(t, "ip", "nsenter", "ethtool", "haproxy")
	if w.options.MTU > 3500 && olderThan(5, 18) {
		t.Skip("needs Linux 5.18: before, no port with a program takes frames that are longer than a page")
	}
	var lent []string
	if w.nics != "" {
		lent = nics.Need(t, w.nics)
	}
	l, err := lab.NewBare(t.Context(), w.options)
	check(t, err)
	t.Cleanup(func() { check(t, l.Close()) })
	p := &pair{t: t, wire: w, lab: l, client: l.Client(), nics: make(map[*lab.Host]string), baseline: make(map[netip.Addr]int)}
	p.a, p.b = l.Pair()
	can(t, p.a, w.link)
	if w.networks == nil {
		p.wire.networks = []network{labs}
	}
	hosts := []*lab.Host{p.a, p.b, p.client}
	for i, nic := range lent {
		p.lend(hosts[i], nic)
	}
	for _, h := range hosts {
		p.lay(h)
	}
	for _, h := range hosts {
		p.ready(h)
	}
	p.sys, err = lab.NewHafast()
	check(t, err)
	p.sys.Config = p.config
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range []*lab.Host{p.a, p.b} {
				if daemon := p.sys.Proc(h); daemon != nil {
					t.Logf("log of %s:\n%s", h.Name, tail(daemon.Log(), 60))
					// The test's own context has ended.
					st, err := control.NewClient(p.sys.Socket(h)).Status(context.Background())
					t.Logf("packets of %s by reason: %v, %v", h.Name, st.XDP.Counters, err)
				}
			}
		}
	})
	return p
}

// lend moves an interface of the guest into the host. An earlier pair's namespace may still
// have it: the kernel hands it back some time after the namespace has ended.
func (p *pair) lend(h *lab.Host, nic string) {
	p.t.Helper()
	p.eventually(nic+" to be there", func() bool { _, err := net.InterfaceByName(nic); return err == nil })
	if out, err := exec.CommandContext(p.t.Context(), "ip", "link", "set", "dev", nic, "netns", h.Namespace()).CombinedOutput(); err != nil {
		p.t.Fatalf("lend %s to %s: %v: %s", nic, h.Name, err, out)
	}
	p.nics[h] = nic
}

// lay lays the host's part of the wire.
func (p *pair) lay(h *lab.Host) {
	p.t.Helper()
	if p.wire.prepare != nil {
		check(p.t, p.wire.prepare(h))
	}
	// Explicit indices let a line leave either out, which Sprintf would complain of.
	fill := strings.NewReplacer("%[1]d", strconv.Itoa(last(h)), "%02[1]x", fmt.Sprintf("%02x", last(h)), "%[2]s", p.nics[h])
	for _, line := range p.wire.lay {
		if _, err := h.Run(p.t.Context(), "sh", "-c", fill.Replace(line)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// ready waits until the host's part of the wire is.
func (p *pair) ready(h *lab.Host) {
	p.t.Helper()
	if p.wire.ready == "" {
		return
	}
	p.eventually("the wire of "+h.Name, func() bool {
		_, err := h.Run(p.t.Context(), "sh", "-c", p.wire.ready)
		return err == nil
	})
}

// iface is what carries the host's address and the VIP of a network.
func (p *pair) iface(h *lab.Host, n network) string { return cmp.Or(n.iface, p.nics[h]) }

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// last is the last byte of the host's address.
func last(h *lab.Host) int { b := h.Addr.As4(); return int(b[3]) }

// addr is the host's address on the wire.
func (p *pair) addr(h *lab.Host) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf(p.wire.networks[0].format, last(h)))
}

func (p *pair) other(h *lab.Host) *lab.Host {
	if h == p.a {
		return p.b
	}
	return p.a
}

// config is a host's: patient, since this is about wires and not about how quick it is. A
// prober that is late by half an interval begins to count anew, so that patience is in the
// interval: of many short ones an emulated guest always has one that is late.
func (p *pair) config(h *lab.Host) string {
	priority := 150
	if h == p.b {
		priority = 100
	}
	var instances strings.Builder
	for i, n := range p.wire.networks {
		fmt.Fprintf(&instances, "  - {name: VI_%d, vrid: %d, interface: %s, priority: %d, advert_interval: 200ms, vips: [%s]}\n",
			i+1, 51+i, p.iface(h, n), priority, n.vip)
	}
	return fmt.Sprintf(`node: %s
peers: [%s]
instances:
%shaproxy: {pidfile: %s}
liveness: {interval: 100ms, multiplier: 5, lease: 2s}
control: {socket: %s}
state_dir: %s
bpf_dir: %s
%s`, h.Name, p.addr(p.other(h)), instances.String(), h.HAProxyPIDFile(),
		p.sys.Socket(h), p.sys.StateDir(h), p.sys.BPFDir(h), p.wire.config)
}

// start starts haproxy and hafast on both hosts, and waits until the first is Active.
func (p *pair) start() {
	p.t.Helper()
	p.serve()
	p.elect()
}

// serve starts haproxy on both hosts.
func (p *pair) serve() {
	p.t.Helper()
	p.haproxy(p.a)
	p.haproxy(p.b)
}

// elect starts hafast on both hosts, and waits until the first is Active.
func (p *pair) elect() {
	p.t.Helper()
	check(p.t, p.sys.Start(p.t.Context(), p.a))
	check(p.t, p.sys.Start(p.t.Context(), p.b))
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

// state is that of all the host's instances, empty while they differ or its daemon does not
// answer.
func (p *pair) state(h *lab.Host) string {
	st, err := control.NewClient(p.sys.Socket(h)).Status(p.t.Context())
	if err != nil || len(st.Instances) != len(p.wire.networks) {
		return ""
	}
	state := st.Instances[0].State
	if slices.ContainsFunc(st.Instances, func(i control.Instance) bool { return i.State != state }) {
		return ""
	}
	return state
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

// shared waits until the host gives new flows to these nodes, those of each VIP.
func (p *pair) shared(h *lab.Host, nodes ...string) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("%s to give new flows to %v", h.Name, nodes), func() bool {
		services := p.status(h).XDP.Services
		return len(services) >= len(p.wire.networks) && !slices.ContainsFunc(services, func(s control.XDPService) bool { return !slices.Equal(s.Targets, nodes) })
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
