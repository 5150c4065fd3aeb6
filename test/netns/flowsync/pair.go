// SPDX-License-Identifier: Apache-2.0

package flowsync

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

const (
	// setupTimeout bounds what comes before something is measured.
	setupTimeout = 30 * time.Second
	// tcpPort and udpPort are the services.
	tcpPort = lab.HTTPPort
	udpPort = 5002
)

// ErrMoved is returned when the VIP did not stay where it was.
var ErrMoved = errors.New("the VIP moved under load")

// Protocols are those that flows are measured of, as they are named in reports.
func Protocols() []string { return []string{"tcp", "udp"} }

// service is that of a protocol.
func service(proto string) (number uint8, vip netip.AddrPort, err error) {
	switch proto {
	case "tcp":
		return unix.IPPROTO_TCP, netip.AddrPortFrom(lab.VIP, tcpPort), nil
	case "udp":
		return unix.IPPROTO_UDP, netip.AddrPortFrom(lab.VIP, udpPort), nil
	}
	return 0, vip, fmt.Errorf("unknown protocol %q", proto)
}

// pair is two hosts with hafast, in a lab of their own.
type pair struct {
	*lab.Lab
	sys            *lab.Hafast
	active, backup *lab.Host
	// capacity is how many TCP flows the tables hold.
	capacity int
}

// inPair builds a lab, measures in it and takes it down.
func inPair(ctx context.Context, capacity int, measure func(*pair) error) (err error) {
	sys, err := lab.NewHafast()
	if err != nil {
		return err
	}
	l, err := lab.New(ctx, lab.Options{})
	if err != nil {
		return fmt.Errorf("build the lab: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	p := &pair{Lab: l, sys: sys, capacity: capacity}
	p.active, p.backup = l.Pair()
	sys.Config = p.config
	for _, h := range []*lab.Host{p.active, p.backup} {
		if err := os.WriteFile(keyFile(h), key(), 0o600); err != nil {
			return err
		}
		if err := h.StartHAProxy(ctx); err != nil {
			return err
		}
	}
	return measure(p)
}

func keyFile(h *lab.Host) string { return h.Path("sync.key") }

// key seals nothing that is secret.
func key() []byte {
	return []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)) + "\n")
}

// config has a host probe so patiently that a stolen processor moves no VIP.
func (p *pair) config(h *lab.Host) string {
	peer, priority := p.backup, 101
	if h == p.backup {
		peer, priority = p.active, 100
	}
	return fmt.Sprintf(`node: %s
interface: %s
peers: [%s]
instances:
  - {name: VI_1, vrid: 51, priority: %d, advert_interval: 50ms, vips: [%s]}
liveness: {multiplier: 50}
haproxy: {pidfile: %s}
services:
  - {vip: %[5]s, port: %[7]d, proto: tcp}
  - {vip: %[5]s, port: %[8]d, proto: udp}
balance: shared
flows: %[9]d
sync: {key_file: %[10]s}
control: {socket: %[11]s}
state_dir: %[12]s
bpf_dir: %[13]s
xdp: native
`, h.Name, lab.Interface, peer.Addr, priority, lab.VIP, h.HAProxyPIDFile(), tcpPort, udpPort, p.capacity,
		keyFile(h), p.sys.Socket(h), p.sys.StateDir(h), p.sys.BPFDir(h))
}

// start starts both daemons, and returns when the first host is Active, new flows go to
// both, and the other could take over.
func (p *pair) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	for _, h := range []*lab.Host{p.active, p.backup} {
		if err := p.sys.Start(ctx, h); err != nil {
			return err
		}
	}
	if err := lab.WaitSettled(ctx, p.sys, p.active, p.backup); err != nil {
		return err
	}
	if err := p.shared(ctx); err != nil {
		return err
	}
	return p.protected(ctx)
}

// shared waits until the active host sends new flows to both.
func (p *pair) shared(ctx context.Context) error {
	return lab.Eventually(ctx, "new flows to go to both hosts", func() bool {
		st, err := p.status(ctx, p.active)
		return err == nil && len(st.XDP.Services) == len(Protocols()) &&
			!slices.ContainsFunc(st.XDP.Services, func(s control.XDPService) bool { return len(s.Targets) < 2 })
	})
}

// protected waits until the backup lacks none of the active host's flows.
func (p *pair) protected(ctx context.Context) error {
	return lab.Eventually(ctx, "all flows to be known on "+p.backup.Name, func() bool {
		s, err := p.sync(ctx, p.active)
		return err == nil && s.State == control.SyncInSync && s.Peers[0].Covered && s.FlowsUnprotected == 0
	})
}

func (p *pair) status(ctx context.Context, h *lab.Host) (control.Status, error) {
	st, err := control.NewClient(p.sys.Socket(h)).Status(ctx)
	if err != nil {
		return st, fmt.Errorf("%s: %w", h.Name, err)
	}
	return st, nil
}

// sync is how state sync stands on a host, which has one peer.
func (p *pair) sync(ctx context.Context, h *lab.Host) (control.Sync, error) {
	st, err := p.status(ctx, h)
	if err == nil && len(st.Sync.Peers) != 1 {
		err = fmt.Errorf("%s: state sync is %s with %d peers", h.Name, st.Sync.State, len(st.Sync.Peers))
	}
	return st.Sync, err
}

// stayed reports whether the VIP is where it was.
func (p *pair) stayed() error {
	if !p.active.HasAddr(lab.VIP) || p.backup.HasAddr(lab.VIP) {
		return ErrMoved
	}
	return nil
}

// generator makes one for flows of a protocol of clients from a number on.
func (p *pair) generator(proto string, first uint32) (*generator, error) {
	number, vip, err := service(proto)
	if err != nil {
		return nil, err
	}
	return newGenerator(p.Client(), p.active, number, vip, first)
}

// flowsOf opens the table of a protocol on a host.
func (p *pair) flowsOf(h *lab.Host, proto string) (*table, error) {
	number, vip, err := service(proto)
	if err != nil {
		return nil, err
	}
	return openTable(h, number, vip)
}

// count is how many flows of a protocol each host has.
func (p *pair) count(proto string) (active, backup int, err error) {
	counts := [2]int{}
	for i, h := range []*lab.Host{p.active, p.backup} {
		t, err := p.flowsOf(h, proto)
		if err == nil {
			counts[i], err = t.count()
			t.close()
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return counts[0], counts[1], nil
}

// memory is the resident memory of a host's daemon in MiB. The tables, which are the
// kernel's, are not in it.
func (p *pair) memory(h *lab.Host) (mib float64, err error) {
	path := fmt.Sprintf("/proc/%d/status", p.sys.Proc(h).PID())
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("%s: no VmRSS", path)
}
