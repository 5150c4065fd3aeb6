// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
)

// ErrNotRoot is returned by New to callers who may not make namespaces.
var ErrNotRoot = errors.New("network namespaces need root")

// The names of the hosts every lab has.
const (
	HostA  = "haa"
	HostB  = "hab"
	Web    = "web"
	Client = "client"
)

// Ports that every haproxy of the lab listens on.
const (
	// HTTPPort balances HTTP over nginx in the web host.
	HTTPPort = 5000
	// HeldPort passes TCP connections on to an echo server in the web host.
	HeldPort = 5001
)

// The addresses of the lab: those of the how-to that haproxy pairs are built
// by, and their IPv6 counterparts.
var (
	// VIP is the virtual address that moves between haa and hab.
	VIP = netip.MustParseAddr("10.224.147.208")
	// VIP6 is its IPv6 counterpart.
	VIP6 = netip.MustParseAddr("fd00:147::208")
)

// bridgeName is the switch's bridge, in a namespace of its own.
const bridgeName = "br0"

// HostSpec describes a host to build.
type HostSpec struct {
	// Name is at most 15 bytes: it also names the port of the switch.
	Name string
	// V4 and V6 are the addresses of eth0 with their prefix lengths.
	V4, V6 netip.Prefix
	// bridge is what eth0 is plugged into; "" stands for br0.
	bridge string
}

// Options change what New builds. The zero value is the seed's topology.
type Options struct {
	// Hosts is how many hosts have haproxy; 0 stands for the pair. See [Lab.Group].
	Hosts int
	// Extra hosts on the same switch.
	Extra []HostSpec
	// Plain wires are as containers and virtual machines have them: the far ends run no
	// program, and checksums are left for the wire to finish. Otherwise the wires stand for
	// network cards.
	Plain bool
	// MTU of the switch and of its ports; 0 is the kernel's own, 1500.
	MTU int
	// SecondCable gives each host eth1 beside eth0, on the same switch, down and without an
	// address.
	SecondCable bool
}

// Lab is a running topology. Its methods may be called from several goroutines.
type Lab struct {
	// Dir holds a directory per host, removed by Close.
	Dir string

	sw    *namespace
	hosts []*Host
	bpffs *bpffs
	// pass is the XDP program of the switch's ports.
	pass *ebpf.Program
	echo *echoServer
	opts Options
	// nginx is the web server's process.
	nginx   *Proc
	cgroups cgroups

	closeOnce sync.Once
	closeErr  error
	mu        sync.Mutex
	atClose   []func() error
}

// New builds a lab: namespaces, addresses, nginx and the echo server. The
// haproxies are started by [Host.StartHAProxy]. On error nothing is left behind.
func New(ctx context.Context, opts Options) (*Lab, error) {
	return build(slices.Concat(seedHosts(opts), opts.Extra), []string{bridgeName}, opts, func(l *Lab) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := l.startWeb(ctx); err != nil {
			return fmt.Errorf("web server: %w", err)
		}
		return nil
	})
}

// NewBare is New without servers: no nginx and no echo server, so that what the hosts
// serve is the caller's own.
func NewBare(_ context.Context, opts Options) (*Lab, error) {
	return build(slices.Concat(seedHosts(opts), opts.Extra), []string{bridgeName}, opts, func(l *Lab) error {
		if !opts.SecondCable {
			return nil
		}
		for _, h := range l.hosts {
			if err := l.layAnother(h); err != nil {
				return err
			}
		}
		return nil
	})
}

// layAnother lays a second cable to a host.
func (l *Lab) layAnother(h *Host) error {
	mac := slices.Clone(h.MAC)
	mac[1] = 1
	c := cable{port: h.Name + "-1", bridge: bridgeName, iface: "eth1", mac: mac}
	h.ports = append(h.ports, c.port)
	if err := l.lay(h, c); err != nil {
		return err
	}
	return h.disableChecksumOffload(c.iface)
}

// build makes a lab of hosts and bridges, and then furnishes it. On error nothing is
// left behind.
func build(hosts []HostSpec, bridges []string, opts Options, furnish func(*Lab) error) (_ *Lab, err error) {
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	if opts.Hosts != 0 && (opts.Hosts < pairSize || opts.Hosts > maxGroup) {
		return nil, fmt.Errorf("a lab of %d hosts: there can be %d to %d", opts.Hosts, pairSize, maxGroup)
	}
	if err := Reap(); err != nil {
		return nil, fmt.Errorf("remove stale labs: %w", err)
	}
	l := &Lab{opts: opts}
	defer func() {
		if p := recover(); p != nil {
			_ = l.Close()
			panic(p)
		}
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	// The directory's name is unique among the labs of this process too, and
	// the namespaces take theirs from it.
	if l.Dir, err = os.MkdirTemp("", fmt.Sprintf("%s%d-*", namePrefix, os.Getpid())); err != nil {
		return nil, err
	}
	if l.bpffs, err = useBPFFS(bpffsDir, bpffsLock); err != nil {
		return nil, err
	}
	if l.pass, err = newPassProgram(); err != nil {
		return nil, err
	}
	name := filepath.Base(l.Dir) + "-"
	if err := l.buildSwitch(name+"switch", bridges); err != nil {
		return nil, fmt.Errorf("switch: %w", err)
	}
	for _, spec := range hosts {
		if err := l.addHost(name+spec.Name, spec); err != nil {
			return nil, fmt.Errorf("host %s: %w", spec.Name, err)
		}
	}
	return l, furnish(l)
}

// seedHosts are the three hosts of the how-to and a client, and the rest of a group.
func seedHosts(opts Options) []HostSpec {
	return append(groupHosts(cmp.Or(opts.Hosts, pairSize)), seedHost(Web, 154), seedHost(Client, 200))
}

// Close stops every process of the lab and removes its namespaces and
// directories. It can be called more than once.
func (l *Lab) Close() error {
	l.closeOnce.Do(func() {
		var errs []error
		l.mu.Lock()
		cleanups := l.atClose
		l.mu.Unlock()
		for i := len(cleanups) - 1; i >= 0; i-- {
			errs = append(errs, cleanups[i]())
		}
		for _, h := range l.hosts {
			h.killAll()
			errs = append(errs, h.removePins(), h.unlimit(), h.ns.close())
		}
		if l.sw != nil {
			errs = append(errs, l.sw.close())
		}
		if l.pass != nil {
			errs = append(errs, l.pass.Close())
		}
		if l.bpffs != nil {
			errs = append(errs, l.bpffs.release())
		}
		errs = append(errs, l.cgroups.close())
		if l.Dir != "" {
			errs = append(errs, os.RemoveAll(l.Dir))
		}
		l.closeErr = errors.Join(errs...)
	})
	return l.closeErr
}

// Host returns the host of that name. Asking for one that was not built is a
// mistake in the caller and panics.
func (l *Lab) Host(name string) *Host {
	for _, h := range l.hosts {
		if h.Name == name {
			return h
		}
	}
	panic("lab: no host " + name)
}

// Pair returns the two hosts with haproxy; the first has the higher priority.
func (l *Lab) Pair() (a, b *Host) { return l.Host(HostA), l.Host(HostB) }

// Client returns the host the load comes from.
func (l *Lab) Client() *Host { return l.Host(Client) }

// Web returns the host behind the haproxies.
func (l *Lab) Web() *Host { return l.Host(Web) }

// onClose registers a clean-up; the last one registered runs first.
func (l *Lab) onClose(fn func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.atClose = append(l.atClose, fn)
}

func (l *Lab) buildSwitch(nsName string, bridges []string) error {
	var err error
	if l.sw, err = newNamespace(nsName); err != nil {
		return err
	}
	return l.sw.do(func() error {
		// The switch itself is no IP host: it should send nothing of its own.
		for _, key := range []string{"net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6"} {
			if err := writeSysctl(key, "1"); err != nil {
				return err
			}
		}
		for _, name := range bridges {
			// Without a multicast querier, snooping would only add delays.
			snooping := false
			bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: l.opts.MTU}, MulticastSnooping: &snooping}
			if err := netlink.LinkAdd(bridge); err != nil {
				return fmt.Errorf("add bridge: %w", err)
			}
			if err := netlink.LinkSetUp(bridge); err != nil {
				return fmt.Errorf("set bridge up: %w", err)
			}
		}
		return nil
	})
}

func (l *Lab) addHost(nsName string, spec HostSpec) error {
	ns, err := newNamespace(nsName)
	if err != nil {
		return err
	}
	h := &Host{
		Name:  spec.Name,
		Addr:  spec.V4.Addr(),
		Addr6: spec.V6.Addr(),
		MAC:   macFor(spec.V4.Addr()),
		Dir:   filepath.Join(l.Dir, spec.Name),
		lab:   l,
		ns:    ns,
		spec:  spec,
		ports: []string{spec.Name},
	}
	l.hosts = append(l.hosts, h)
	if err := os.Mkdir(h.Dir, 0o755); err != nil {
		return err
	}
	if err := l.plug(h); err != nil {
		return err
	}
	return h.configure()
}
