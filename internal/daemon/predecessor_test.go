// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hafast/internal/config"
	"hafast/internal/datapath"
	"hafast/internal/link"
	"hafast/internal/link/nstest"
	"hafast/pkg/loader"
)

// killed is a host on which a daemon was killed while it was Active: its data path is
// pinned, and the VIP is on eth0. The host is a network namespace with a BPF filesystem,
// both of the test's own.
type killed struct {
	t   *testing.T
	cfg *config.Config
	log bytes.Buffer
}

func newKilled(t *testing.T) *killed {
	t.Helper()
	nstest.Enter(t)
	mount := t.TempDir()
	must(t, unix.Unshare(unix.CLONE_NEWNS))
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, unix.Mount("bpf", mount, "bpf", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	nstest.Veth(t, "eth0", "far0")
	nstest.Add(t, "eth0", "10.0.0.1/24")
	nstest.Add(t, "eth0", vip.String()+"/32")
	dir := t.TempDir()
	k := &killed{t: t, cfg: parse(t, fmt.Sprintf(`
interface: eth0
instances:
  - {name: VI_1, vrid: 51, priority: 101, vips: [%s]}
haproxy: off
metrics: off
flows: %d
control: {socket: %s/socket}
state_dir: %s
bpf_dir: %s/hafast
`, vip, loader.MinFlows, dir, dir, mount))}
	must(t, k.path().Close())
	return k
}

// path is a data path that answers for the VIP, with the pins locked until it is closed.
func (k *killed) path() *datapath.Path {
	k.t.Helper()
	conn, err := link.Open()
	must(k.t, err)
	defer conn.Close()
	p, err := datapath.Open(datapath.Options{PinDir: k.cfg.BPFDir, Flows: k.cfg.Flows, Log: k.logger()}, conn)
	must(k.t, err)
	must(k.t, p.Prepare(datapath.Desired{
		Interfaces: []string{"eth0"},
		Instances:  []datapath.Instance{{Name: "VI_1", VIPs: []netip.Addr{vip}}},
	}, func(string) bool { return true }))
	return p
}

func (k *killed) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&k.log, nil)) }

// answers reports whether the VIP is on eth0, where the kernel would answer for it.
func (k *killed) answers() bool {
	k.t.Helper()
	return slices.Contains(nstest.Addrs(k.t, "eth0"), vip.String()+"/32")
}

// gated reports whether eth0 has the program that keeps the kernel from that.
func (k *killed) gated() bool {
	k.t.Helper()
	xdp := nstest.Link(k.t, "eth0").Attrs().Xdp
	return xdp != nil && xdp.Attached
}

// start brings up as much of a daemon as deals with its predecessor.
func (k *killed) start() *host {
	k.t.Helper()
	h, err := open(k.cfg, nil, Options{}, k.logger())
	k.t.Cleanup(func() { must(k.t, h.close()) })
	must(k.t, err)
	l, err := h.newLoop(k.t.Context(), Options{})
	must(k.t, err)
	must(k.t, h.startFleet(k.t.Context(), l))
	k.t.Cleanup(func() { must(k.t, h.abandonFleet()) })
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The gate goes after the VIPs, or the kernel would answer for them. With the pins locked
// it cannot go, and by then the VIPs must have gone.
func TestTheGateGoesLast(t *testing.T) {
	for name, takeDown := range map[string]func(*killed) error{
		"cleanup":  func(k *killed) error { return CleanUp(k.cfg, k.logger()) },
		"xdp: off": func(k *killed) error { k.cfg.XDP = "off"; k.start(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKilled(t)
			lock := k.path()
			defer lock.Close()
			if err := takeDown(k); err != nil && !errors.Is(err, loader.ErrBusy) {
				t.Fatal(err)
			}
			if k.answers() || !k.gated() {
				t.Errorf("VIP on eth0: %t, want false; gate there: %t, want true", k.answers(), k.gated())
			}
		})
	}
}

func TestNothingIsLeftOfAPredecessor(t *testing.T) {
	for name, takeDown := range map[string]func(*killed) error{
		"cleanup":  func(k *killed) error { return CleanUp(k.cfg, k.logger()) },
		"xdp: off": func(k *killed) error { k.cfg.XDP = "off"; k.start(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKilled(t)
			if !k.answers() || !k.gated() {
				t.Fatalf("to begin with, VIP on eth0: %t, gate there: %t", k.answers(), k.gated())
			}
			must(t, takeDown(k))
			if _, err := os.Stat(k.cfg.BPFDir); k.answers() || k.gated() || !errors.Is(err, os.ErrNotExist) {
				t.Errorf("VIP on eth0: %t, gate there: %t, pins: %v", k.answers(), k.gated(), err)
			}
		})
	}
}

// A predecessor whose maps are of no use to this version makes room for a data path that
// begins anew.
func TestRefusedLayoutIsReplaced(t *testing.T) {
	k := newKilled(t)
	abi, err := ebpf.LoadPinnedMap(filepath.Join(k.cfg.BPFDir, "abi"), nil)
	must(t, err)
	must(t, abi.Put(uint32(0), uint32(0xffff)))
	must(t, abi.Close())
	h := k.start()
	if h.fleet == nil {
		t.Fatalf("no data path: %s", h.noFleet.Reason)
	}
	if !k.gated() || k.answers() {
		t.Errorf("program on eth0: %t, want true; VIP there: %t, want false", k.gated(), k.answers())
	}
	if !strings.Contains(k.log.String(), "ABI version") {
		t.Errorf("the log says nothing of it:\n%s", k.log.String())
	}
}
