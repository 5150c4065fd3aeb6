// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
	"hafast/internal/membership"
	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/nfct"
	"hafast/pkg/loader"
)

// BenchmarkLoopCalls measures how long the calls take that the daemon's loop makes, and
// how late it renews its lease for them, while a million flows and a million entries of
// connection tracking are sent to a host that has none. It needs root, 2 GiB of memory
// and a minute:
//
//	go test ./internal/statesync -run '^$' -bench LoopCalls -benchtime 1x
//
// HAFAST_BENCH_RECORDS sets another number than a million.
func BenchmarkLoopCalls(b *testing.B) {
	if os.Getenv(inOwnNamespace) == "" {
		runInOwnNamespace(b)
		return
	}
	r := newResync(b, records(b))
	for b.Loop() {
		r.measure(b)
	}
}

const (
	// inOwnNamespace is set for the process that measures. All its threads are in one
	// namespace: a Channel reads the connection tracking of whichever its goroutines are
	// in.
	inOwnNamespace = "HAFAST_BENCH_NAMESPACE"
	recordsVar     = "HAFAST_BENCH_RECORDS"
	// trackingMax is the first namespace's limit, which holds for all.
	trackingMax = "/proc/sys/net/netfilter/nf_conntrack_max"
)

func records(b *testing.B) int {
	b.Helper()
	text := os.Getenv(recordsVar)
	if text == "" {
		return 1_000_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatalf("%s: %v", recordsVar, err)
	}
	return n
}

// runInOwnNamespace runs the benchmark in a process of its own.
func runInOwnNamespace(b *testing.B) {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("network namespaces need root")
	}
	was, err := os.ReadFile(trackingMax)
	if err != nil {
		b.Skipf("no connection tracking: %v", err)
	}
	limit := strconv.Itoa(3 * records(b))
	if err := os.WriteFile(trackingMax, []byte(limit), 0o644); err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(trackingMax, was, 0o644); err != nil {
			b.Error(err)
		}
	}()
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=LoopCalls", "-test.benchtime=1x", "-test.v")
	cmd.Env = append(os.Environ(), inOwnNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
}

// resync is two hosts, of which a has everything and b nothing.
type resync struct {
	a, b *benchHost
}

// benchHost is a Channel over tables of the kernel.
type benchHost struct {
	name    string
	channel *Channel
	network *nfct.Table
	addr    netip.Addr
	peers   []membership.Neighbour
}

func newResync(b *testing.B, n int) *resync {
	b.Helper()
	nstest.Up(b, "lo")
	peer := lay(b)
	r := &resync{
		a: newBenchHost(b, "sender", here, n, "10.9.0.1", "10.9.0.2"),
		b: newBenchHost(b, "receiver", peer.Do, n, "10.9.0.2", "10.9.0.1"),
	}
	flows := make([]loader.Replica, n)
	for i := range flows {
		flows[i].Flow = benchFlow(i)
	}
	if err := r.a.channel.flows.path.ApplyReplicas(flows); err != nil {
		b.Fatal(err)
	}
	ops := make([]nfct.Op, n)
	for i := range ops {
		ops[i].Entry = connection(1, i)
	}
	if tally, err := r.a.network.Apply(ops); err != nil || tally.Counts[nfct.Done] != n {
		b.Fatalf("%+v, %v", tally, err)
	}
	return r
}

func newBenchHost(b *testing.B, name string, in func(func()), n int, own, peer string) *benchHost {
	b.Helper()
	h := &benchHost{name: name, addr: addr(own), peers: []membership.Neighbour{{Addr: addr(peer), Source: addr(own)}}}
	path, err := loader.Open(loader.Options{Flows: n + n/4})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { path.Close() })
	boots++
	in(func() {
		if h.network, err = nfct.Open(); err != nil {
			return
		}
		h.channel, err = Open(Options{
			Boot: boots, Keys: [][]byte{key(1)}, Flows: &benchPath{DataPath: path}, Ready: func(bool) {},
			Entries: &EntryOptions{Filter: nfct.DefaultFilter()}, Log: slog.New(slog.DiscardHandler),
		})
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.channel.Run(ctx, func(membership.Packet) {}) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		h.network.Close()
	})
	return h
}

// benchPath is a flow table of the kernel with 50,000 events a second, which no packets
// have made.
type benchPath struct {
	*loader.DataPath
	last time.Time
	sent int
}

const (
	benchEvents = 50_000 // a second
	benchVIP    = "10.8.0.1"
)

var benchTargets = []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")}

func (p *benchPath) Place(a netip.Addr) (int, bool) {
	at := slices.Index(benchTargets, a)
	return at, at >= 0
}

func (p *benchPath) PlaceOf(place int) (netip.Addr, bool) { return benchTargets[place], true }

func (p *benchPath) FlowEvents(into []loader.FlowEvent) (n int, lost uint64, err error) {
	now := time.Now()
	n = min(len(into), int(now.Sub(p.last).Seconds()*benchEvents))
	for i := range n {
		into[i] = loader.FlowEvent{Kind: loader.FlowClosing, Flow: benchFlow(p.sent % 100_000)}
		p.sent++
	}
	if n > 0 {
		p.last = now
	}
	return n, 0, nil
}

func benchFlow(i int) loader.Flow {
	client := netip.AddrFrom4([4]byte{100, 64, byte(i >> 24), byte(i >> 16)})
	return loader.Flow{Proto: loader.TCP, Client: netip.AddrPortFrom(client, uint16(i)|1<<15), VIP: netip.AddrPortFrom(addr(benchVIP), uint16(80+i>>15&1))}
}

// measure has everything sent, and then once more while the sender gives a VIP up and
// takes it again.
func (r *resync) measure(b *testing.B) {
	a, peer := r.a.channel, r.b.channel
	receiver, control := make(chan *calls), make(chan *calls)
	ctx, stop := context.WithCancel(context.Background())
	var churning sync.WaitGroup
	churning.Go(func() { churn(ctx, b, r.a.network) })
	defer churning.Wait()
	defer stop()
	vips := []netip.Addr{addr(benchVIP), addr("10.8.0.2")}
	if err := a.SetScope(vips); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	inSync := make(chan struct{})
	go func() {
		defer close(inSync)
		for st := peer.Status(); len(st.Peers) != 1 || st.Peers[0].State != conntrack.InSync; st = peer.Status() {
			sleep(ctx, 100*time.Millisecond)
		}
	}()
	go func() { control <- idle(inSync) }()
	go func() { receiver <- r.b.loop(inSync, nil) }()
	sent := r.a.loop(inSync, nil)
	received, undisturbed := <-receiver, <-control
	fmt.Printf("\nall was sent after %.1f s; milliseconds:\n| loop | call | n | median | p99 | max |\n", time.Since(began).Seconds())

	peer.mu.Lock()
	peer.engine.Resync(time.Now())
	peer.mu.Unlock()
	over, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resigned := r.a.loop(over.Done(), vips)
	for _, c := range []*calls{undisturbed, sent, received, resigned} {
		c.report()
	}
}

// churn makes and ends some 10,000 connections a second, whose events the host reads.
func churn(ctx context.Context, b *testing.B, network *nfct.Table) {
	ops := make([]nfct.Op, 64)
	for round := 0; ctx.Err() == nil; round++ {
		for _, action := range []nfct.Action{nfct.Set, nfct.Delete} {
			for i := range ops {
				ops[i] = nfct.Op{Action: action, Entry: connection(2, round%1000*64+i)}
			}
			if _, err := network.Apply(ops); err != nil {
				b.Errorf("churn: %v", err)
				return
			}
		}
		sleep(ctx, 6*time.Millisecond)
	}
}

// calls are how long calls have taken, by name.
type calls struct {
	title string
	took  map[string][]time.Duration
}

func (c *calls) time(name string, call func()) {
	start := time.Now()
	call()
	c.took[name] = append(c.took[name], time.Since(start))
}

// loop calls the channel as the daemon's loop does, once a millisecond, until done. With
// VIPs it gives the first of them up and takes it again, ten times a second.
func (h *benchHost) loop(done <-chan struct{}, vips []netip.Addr) *calls {
	c := &calls{title: h.name, took: map[string][]time.Duration{}}
	if vips != nil {
		c.title += " that resigns"
	}
	publish := []struct {
		name string
		call func()
	}{
		{"SetAlive", func() { h.channel.SetAlive(h.peers[0].Addr, true) }},
		{"SetPeers", func() { h.channel.SetPeers(h.peers) }},
		{"SetConfig", func() { h.channel.SetConfig(7) }},
		{"SetKeys", func() { _ = h.channel.SetKeys([][]byte{key(1)}) }},
	}
	if vips != nil {
		publish = publish[:1] // the others are rare, and would be in the way ten times a second
	}
	c.everyMillisecond(done, func(i int) {
		c.time(publish[i%len(publish)].name, publish[i%len(publish)].call)
		switch {
		case vips != nil && i%100 == 0:
			c.time("SetScope, one less", func() { _ = h.channel.SetScope(vips[1:]) })
		case vips != nil && i%100 == 50:
			c.time("SetScope, one more", func() { _ = h.channel.SetScope(vips) })
		}
	})
	return c
}

// idle is a loop that calls nothing: what of the lateness is the machine's doing.
func idle(done <-chan struct{}) *calls {
	c := &calls{title: "no calls", took: map[string][]time.Duration{}}
	c.everyMillisecond(done, func(int) {})
	return c
}

// everyMillisecond calls do, and notes how late a lease would be renewed that is due every
// 20 ms.
func (c *calls) everyMillisecond(done <-chan struct{}, do func(i int)) {
	const lease = 20 * time.Millisecond
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	due := time.Now().Add(lease)
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		if late := time.Since(due); late >= 0 {
			c.took["lateness of the lease"] = append(c.took["lateness of the lease"], late)
			due = due.Add(late.Truncate(lease) + lease)
		}
		do(i)
	}
}

func (c *calls) report() {
	var names []string
	for name := range c.took {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		took := c.took[name]
		slices.Sort(took)
		at := func(share float64) float64 {
			return float64(took[int(share*float64(len(took)-1))].Nanoseconds()) / 1e6
		}
		fmt.Printf("| %s | %s | %d | %.3f | %.2f | %.2f |\n", c.title, name, len(took), at(0.5), at(0.99), at(1))
	}
}
