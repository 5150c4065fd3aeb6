// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"context"
	"fmt"
	"time"

	"hafast/test/netns/lab"
	"hafast/test/netns/sync/traffic"
)

const (
	// resyncTimeout bounds how long a router may take to know everything, at its own start
	// or from another.
	resyncTimeout = 2 * time.Minute
	// heldByTable is how many connections are held besides those that are made up.
	heldByTable = 100
	// tablePatience is how long held connections have to come back when a router takes over
	// with a big table.
	tablePatience = time.Minute
)

// Resync is how a router comes back beside one with a big table, and takes over.
type Resync struct {
	System string `json:"system"`
	Round  int    `json:"round"`
	// Entries is how many connections the other router has.
	Entries int `json:"entries"`
	// ReadyS is the time from the start of the daemons until this one knows all, or
	// learns no more; Missing is what it does not know then.
	ReadyS  float64 `json:"ready_s"`
	Missing int     `json:"missing"`
	// ActiveMiB and BackupMiB are what the daemons hold then, each page counted once
	// among all who map it.
	ActiveMiB float64 `json:"active_mib"`
	BackupMiB float64 `json:"backup_mib"`
	// Takeover is what becomes of held connections when the other router dies then.
	Takeover Move `json:"takeover"`
}

// String is the outcome in a few words.
func (r Resync) String() string {
	text := fmt.Sprintf("%d entries: ready after %.2f s, %.0f and %.0f MiB; host death: %s", r.Entries, r.ReadyS, r.ActiveMiB, r.BackupMiB, r.Takeover)
	if r.Missing > 0 {
		text += fmt.Sprintf("; %d were never known", r.Missing)
	}
	return text
}

// Resync measures it with a table of so many connections that nobody has.
func (r *Runner) Resync(ctx context.Context, sys System, entries int) (Resync, error) {
	result := Resync{System: sys.Name(), Entries: entries}
	// One kernel's hash has the entries of both routers.
	restore, err := lab.RaiseConntrackLimit(2 * (entries + entries/4))
	if err != nil {
		return result, err
	}
	defer func() { _ = restore() }()
	err = inPair(ctx, sys, func(p *pair) error {
		ctx, cancel := context.WithTimeout(ctx, setupTimeout+2*resyncTimeout+tablePatience)
		defer cancel()
		held, err := p.startAlone(ctx, entries)
		if err != nil {
			return err
		}
		defer held.Close()
		if err := p.comeBack(ctx, &result); err != nil {
			return err
		}
		if err := lab.WaitSettled(ctx, sys, p.active, p.backup); err != nil {
			return err
		}
		if result.ActiveMiB, err = p.daemonsMiB(p.active); err != nil {
			return err
		}
		if result.BackupMiB, err = p.daemonsMiB(p.backup); err != nil {
			return err
		}
		result.Takeover, err = p.hostDeath(ctx, held, tablePatience)
		return err
	})
	return result, err
}

// startAlone fills the first router's table, starts the system on it alone, and holds
// connections through it.
func (p *pair) startAlone(ctx context.Context, entries int) (*traffic.Held, error) {
	t, err := openTable(p.active)
	if err != nil {
		return nil, err
	}
	defer t.close()
	if err := t.fill(ctx, entries, lab.NATAddress.Addr()); err != nil {
		return nil, err
	}
	if err := p.sys.Start(ctx, p.active); err != nil {
		return nil, err
	}
	if err := lab.WaitSettled(ctx, p.sys, p.active); err != nil {
		return nil, err
	}
	if err := p.rest(ctx, p.active); err != nil {
		return nil, err
	}
	return p.hold(ctx, heldByTable)
}

// rest waits until a host's daemons have read the table that they found, and are idle
// but for their adverts.
func (p *pair) rest(ctx context.Context, h *lab.Host) error {
	const (
		look = 500 * time.Millisecond
		idle = look / 5
	)
	before, err := p.daemonsCPU(h)
	for quiet := 0; err == nil && quiet < 2; quiet++ {
		if err := lab.Pass(ctx, look); err != nil {
			return fmt.Errorf("waiting for the daemons of %s to rest: %w", h.Name, err)
		}
		var after time.Duration
		if after, err = p.daemonsCPU(h); after-before > idle {
			quiet = -1
		}
		before = after
	}
	return err
}

// comeBack starts the system on the second router and waits until it knows all.
func (p *pair) comeBack(ctx context.Context, result *Resync) error {
	began := time.Now()
	if err := p.sys.Start(ctx, p.backup); err != nil {
		return err
	}
	all := result.Entries + heldByTable
	have, err := p.replicated(ctx, all)
	result.ReadyS, result.Missing = time.Since(began).Seconds(), max(0, all-have)
	if result.Missing > 0 {
		result.ReadyS -= stalled.Seconds()
	}
	return err
}

// daemonsMiB is what the daemons of a host hold.
func (p *pair) daemonsMiB(h *lab.Host) (sum float64, err error) {
	for _, d := range p.sys.Daemons(h) {
		bytes, err := d.PSS()
		if err != nil {
			return 0, err
		}
		sum += float64(bytes) / (1 << 20)
	}
	return sum, nil
}
