// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"hafast/test/netns/lab"
	"hafast/test/netns/sync/traffic"
)

const (
	// setupTimeout bounds what comes before something is measured.
	setupTimeout = 20 * time.Second
	// serverPort and serverPorts are where the server listens: with one port, the
	// translated address would have no more than 65535 connections.
	serverPort  = 7000
	serverPorts = 64
	// defaultPace is how many connections a second are begun where the load is paced.
	defaultPace = 1000
	// parallel is how many may be under way at a time then.
	parallel = 1000
)

// Runner measures.
type Runner struct {
	// Window is how long a load is measured. Default 5 s.
	Window time.Duration
	// Held is how many connections are held while the routers change over. Default 1000.
	Held int
	// Pace is how many connections a second are begun where the load is paced. Default
	// 1000.
	Pace int
}

func (r *Runner) window() time.Duration { return cmp.Or(r.Window, 5*time.Second) }

func (r *Runner) held() int { return cmp.Or(r.Held, 1000) }

// paced is the load of a steady pace.
func (r *Runner) paced() traffic.LoadSpec {
	return traffic.LoadSpec{Workers: parallel, Pace: cmp.Or(r.Pace, defaultPace)}
}

// pair is a pair of routers with a system on it, in a lab of its own.
type pair struct {
	*lab.Routers
	sys System
	// active is the router that is Active at first.
	active, backup *lab.Host
	server         *traffic.Server
}

// inPair builds a lab, measures in it and takes it down. The error says which system
// it is about.
func inPair(ctx context.Context, sys System, measure func(*pair) error) (err error) {
	routers, err := lab.NewRouters(ctx)
	if err != nil {
		return fmt.Errorf("build the lab: %w", err)
	}
	p := &pair{Routers: routers, sys: sys}
	p.active, p.backup = routers.Pair()
	defer func() {
		if err = errors.Join(err, p.takeDown()); err != nil {
			err = fmt.Errorf("%s: %w", sys.Name(), err)
		}
	}()
	spec := traffic.ServerSpec{Target: p.target()}
	if p.server, err = traffic.StartServer(ctx, routers.Web(), spec); err != nil {
		return err
	}
	return measure(p)
}

// takeDown empties the routers' tables before the namespaces go, because the kernel
// would do it at its leisure, while the next thing is measured.
func (p *pair) takeDown() error {
	if p.server != nil {
		p.server.Close()
	}
	var errs []error
	for _, h := range []*lab.Host{p.active, p.backup} {
		if p.sys.Proc(h) != nil && !p.sys.Proc(h).Exited() {
			errs = append(errs, p.sys.Kill(h))
		}
		t, err := openTable(h)
		if err == nil {
			err = errors.Join(t.flush(), t.close())
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, p.Close())...)
}

// startLoad starts a load on the client.
func (p *pair) startLoad(ctx context.Context, spec traffic.LoadSpec) (*traffic.Load, error) {
	spec.Target = p.target()
	return traffic.StartLoad(ctx, p.Client(), spec)
}

// target is the server.
func (p *pair) target() traffic.Target {
	return traffic.Target{Addr: p.Web().Addr, Port: serverPort, Ports: serverPorts}
}

// start starts the system on both routers and returns when the first is Active.
func (p *pair) start(ctx context.Context) error {
	for _, h := range []*lab.Host{p.active, p.backup} {
		if err := p.sys.Start(ctx, h); err != nil {
			return err
		}
	}
	return lab.WaitSettled(ctx, p.sys, p.active, p.backup)
}

// changeOver waits until the one is Active and the other, if not nil, Backup. If they do
// not get there, the error has what their daemons say of it.
func (p *pair) changeOver(ctx context.Context, to, from *lab.Host) error {
	waiting, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	err := lab.Eventually(waiting, fmt.Sprintf("%s to become Active", to.Name), func() bool {
		return p.sys.State(waiting, to) == lab.StateActive && (from == nil || p.sys.State(waiting, from) == lab.StateBackup)
	})
	if err == nil {
		return nil
	}
	for _, h := range []*lab.Host{p.active, p.backup} {
		err = fmt.Errorf("%w\n%s is %s; its log ends:\n%s", err, h.Name, p.sys.State(ctx, h), p.sys.Proc(h).LastLines(logLines))
	}
	return err
}

// logLines is how much of a daemon's log an error has.
const logLines = 30

const (
	// quickConnections send so often that the first byte after an interruption is soon.
	quickConnections = 10
	quickInterval    = 5 * time.Millisecond
	interval         = 500 * time.Millisecond
)

// hold opens connections through the routers.
func (p *pair) hold(ctx context.Context, n int) (*traffic.Held, error) {
	quick := min(quickConnections, n)
	return traffic.StartHeld(ctx, p.Client(), traffic.HeldSpec{
		Target: p.target(), Quick: quick, Others: n - quick, QuickInterval: quickInterval, Interval: interval,
	})
}

// stalled is how long a router may learn nothing new while it does not know all.
const stalled = 10 * time.Second

// replicated waits until the backup knows so many connections, and returns how many it
// does: fewer, if it learns no more. Some systems are told nothing, others lose some.
func (p *pair) replicated(ctx context.Context, n int) (have int, err error) {
	if !Replicates(p.sys) {
		return 0, nil
	}
	most, grew := -1, time.Now()
	waiting := lab.Eventually(ctx, fmt.Sprintf("%d connections to be known on %s", n, p.backup.Name), func() bool {
		if have, err = p.sys.Replicas(p.backup); have > most {
			most, grew = have, time.Now()
		}
		return err != nil || have >= n || time.Since(grew) > stalled
	})
	return have, errors.Join(err, waiting)
}
