// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"hafast/internal/link"
)

// Some network cards are reset when a program is attached in their driver (mlx5, ixgbe):
// the link is gone for one to ten seconds. To an election that has begun this would be a
// fault, and to a Backup the silence of its Active, so that it is sat out before the
// election begins. A successor finds the program attached, and has nothing to wait for.
const (
	carrierPatience = 10 * time.Second
	carrierEvery    = 20 * time.Millisecond
)

// linkReset is what an attachment may have done to the links.
type linkReset struct {
	before map[string]link.State
	state  func(name string) (link.State, error)
	// while is called all the time that is waited, to keep alive what would lapse.
	while func()
	log   *slog.Logger
}

// await waits until all links that were up are up again, and returns their states. One
// that stays down for longer than a reset takes is down for another reason, which is for
// the election.
func (r linkReset) await(ctx context.Context) map[string]link.State {
	now, lost := r.look()
	if len(lost) == 0 {
		return now
	}
	r.log.Info("attaching the XDP program has reset network cards: waiting for their links", "interfaces", lost, "at_most", carrierPatience)
	began := time.Now()
	ticker := time.NewTicker(carrierEvery)
	defer ticker.Stop()
	for len(lost) > 0 && time.Since(began) < carrierPatience {
		select {
		case <-ctx.Done():
			return now
		case <-ticker.C:
		}
		r.while()
		now, lost = r.look()
	}
	if len(lost) > 0 {
		r.log.Warn("links have not come back since the XDP program was attached", "interfaces", lost)
	} else {
		r.log.Info("the links are back", "after", time.Since(began).Round(time.Millisecond))
	}
	return now
}

// look reads the states anew and lists the links that were up and are not.
func (r linkReset) look() (now map[string]link.State, lost []string) {
	now = make(map[string]link.State, len(r.before))
	for name, before := range r.before {
		state, err := r.state(name)
		if err != nil {
			continue // gone: the monitor reports it when it comes back
		}
		now[name] = state
		if before.Up && !state.Up {
			lost = append(lost, name)
		}
	}
	slices.Sort(lost)
	return now, lost
}

// awaitLinks has the election begin with the links as they are after the attachment.
func (h *host) awaitLinks(ctx context.Context, l *loop) {
	if h.fleet == nil || len(l.resume) > 0 {
		return
	}
	l.links = linkReset{
		before: l.links, state: h.conn.State, log: h.log,
		while: func() { h.fleet.path.Renew(handoffLease) },
	}.await(ctx)
}
