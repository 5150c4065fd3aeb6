// SPDX-License-Identifier: Apache-2.0

package flowsync

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

const (
	// resyncTimeout bounds how long a host may take to know everything.
	resyncTimeout = time.Minute
	// lookForSync is the pause between two looks whether it does.
	lookForSync = 5 * time.Millisecond
)

// Resync is how a host that has lost everything comes back beside one with a big table.
type Resync struct {
	Round int `json:"round"`
	// Wanted is how many flows were to be made.
	Wanted int `json:"wanted"`
	// Flows is how many the other host has, all TCP, Missing how many of them this one
	// lacks when it says that it is in sync.
	Flows   int `json:"flows"`
	Missing int `json:"missing"`
	// ReadyS is the time from the start of this host's daemon until it is in sync, ToldS
	// the part of it that it took to be told: from the session until then.
	ReadyS float64 `json:"ready_s"`
	ToldS  float64 `json:"told_s"`
	// Unprotected is what the other host's daemon calls so right after, and CoveredS how
	// long after the start of this one it was none.
	Unprotected int     `json:"unprotected"`
	CoveredS    float64 `json:"covered_s"`
	// SenderUS and ReceiverUS are the processor time of the daemon that tells and of this
	// one for each flow, in microseconds; this one's start is in it.
	SenderUS   float64 `json:"sender_us"`
	ReceiverUS float64 `json:"receiver_us"`
	// SentBytes went over the sync link for each flow, Ethernet's headers included.
	SentBytes float64 `json:"sent_bytes"`
	// ActiveMiB and BackupMiB are the daemons' resident memory then.
	ActiveMiB float64 `json:"active_mib"`
	BackupMiB float64 `json:"backup_mib"`
}

// String is the outcome in a few words.
func (r Resync) String() string {
	return fmt.Sprintf("%d flows: in sync %.2f s after the start, %.2f s of it told; %d missing, %d unprotected, none after %.2f s; "+
		"each %.2f + %.2f us, %.1f bytes; %.0f and %.0f MiB", r.Flows, r.ReadyS, r.ToldS, r.Missing, r.Unprotected, r.CoveredS,
		r.SenderUS, r.ReceiverUS, r.SentBytes, r.ActiveMiB, r.BackupMiB)
}

// Resync measures it with so many flows of TCP, which the generator makes.
func (r *Runner) Resync(ctx context.Context, flows int) (result Resync, err error) {
	result.Wanted = flows
	err = inPair(ctx, max(1<<16, 2*flows), func(p *pair) error {
		ctx, cancel := context.WithTimeout(ctx, 2*setupTimeout+resyncTimeout)
		defer cancel()
		if err := p.start(ctx); err != nil {
			return err
		}
		if err := p.makeFlows(ctx, flows); err != nil {
			return err
		}
		if err := p.lose(ctx); err != nil {
			return err
		}
		if err := p.comeBack(ctx, &result); err != nil {
			return err
		}
		return p.stayed()
	})
	if err != nil {
		err = fmt.Errorf("resync of %d flows: %w", flows, err)
	}
	return result, err
}

// makeFlows makes them with the generator.
func (p *pair) makeFlows(ctx context.Context, flows int) error {
	g, err := p.generator("tcp", 0)
	if err != nil {
		return err
	}
	defer g.close()
	t, err := p.flowsOf(p.active, "tcp")
	if err != nil {
		return err
	}
	defer t.close()
	// At such a rate some frames may be lost on their way.
	for have := 0; have < flows; {
		if err := g.flood(ctx, flows-have); err != nil {
			return err
		}
		if have, err = t.count(); err != nil {
			return err
		}
	}
	return nil
}

// lose kills the backup's daemon with all that it has in the kernel, and waits until the
// other one has nothing to do any more.
func (p *pair) lose(ctx context.Context) error {
	if err := p.sys.Kill(p.backup); err != nil {
		return err
	}
	for _, dir := range []string{p.sys.BPFDir(p.backup), p.sys.StateDir(p.backup)} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return p.rest(ctx)
}

// rest waits until the active host's daemon uses a tenth of a processor at most.
func (p *pair) rest(ctx context.Context) error {
	const look = 300 * time.Millisecond
	for {
		before, err := p.sys.Proc(p.active).CPU()
		if err != nil {
			return err
		}
		if err := lab.Pass(ctx, look); err != nil {
			return err
		}
		after, err := p.sys.Proc(p.active).CPU()
		if err != nil || after-before <= look/10 {
			return err
		}
	}
}

// comeBack starts the backup's daemon and waits until it knows all.
func (p *pair) comeBack(ctx context.Context, result *Resync) error {
	before, err := p.sys.Proc(p.active).CPU()
	if err != nil {
		return err
	}
	earlier, err := p.sync(ctx, p.active)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := p.sys.Start(ctx, p.backup); err != nil {
		return err
	}
	told, err := p.inSync(ctx)
	if err != nil {
		return err
	}
	result.ReadyS, result.ToldS = time.Since(began).Seconds(), told.Seconds()
	s, err := p.sync(ctx, p.active)
	if err != nil {
		return err
	}
	result.Unprotected = s.FlowsUnprotected
	sender, receiver, err := p.cpu()
	if err != nil {
		return err
	}
	active, backup, err := p.count("tcp")
	if err != nil {
		return err
	}
	result.Flows, result.Missing = active, active-backup
	each := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(active) }
	result.SenderUS, result.ReceiverUS = each(sender-before), each(receiver)
	result.SentBytes = (onWire(s.Peers[0]) - onWire(earlier.Peers[0])) / float64(active)
	if result.ActiveMiB, err = p.memory(p.active); err != nil {
		return err
	}
	if result.BackupMiB, err = p.memory(p.backup); err != nil {
		return err
	}
	err = p.protected(ctx)
	result.CoveredS = time.Since(began).Seconds()
	return err
}

// inSync waits until the backup is in sync, and returns how long it has been told.
func (p *pair) inSync(ctx context.Context) (told time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, resyncTimeout)
	defer cancel()
	var began time.Time
	for {
		s, err := p.sync(ctx, p.backup)
		switch {
		case err != nil: // it does not answer yet
		case s.Peers[0].State == control.SyncInSync:
			if began.IsZero() {
				began = s.Peers[0].Since
			}
			return s.Peers[0].Since.Sub(began), nil
		case s.Peers[0].State == control.SyncSyncing && began.IsZero():
			began = s.Peers[0].Since
		}
		if waiting := lab.Pass(ctx, lookForSync); waiting != nil {
			return 0, fmt.Errorf("waiting for %s to be in sync: %w", p.backup.Name, cmp.Or(err, waiting))
		}
	}
}

// onWire is what a host has sent to a peer, with the headers of its datagrams.
func onWire(p control.SyncPeer) float64 { return float64(p.SentBytes + headers*p.Sent) }
