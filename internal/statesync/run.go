// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"hafast/internal/membership"
	"hafast/pkg/conntrack"
)

// How often it is looked for what has become of flows and entries: after news have been
// found, and otherwise. The first is most of the lag, the second all that an idle host
// does. To be woken up by news costs more than that, when there are a thousand a second.
const (
	pollBusy = 5 * time.Millisecond
	pollIdle = 8 * time.Millisecond
	// busyFor is how long one event keeps the pace up.
	busyFor = 100 * time.Millisecond
	// together is how long what is due may wait for the next look, to be done with it.
	together = 2 * time.Millisecond
)

// Run runs the channel until ctx is done, and closes it. hello takes what peers say of
// themselves; the payload is its own. It and Options.Ready are called from one goroutine;
// while they block, hellos are kept, a bounded number. Run returns nil when ctx ended it.
func (c *Channel) Run(ctx context.Context, hello func(membership.Packet)) error {
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return c.conn.run(inner, c.receive, c.rest) })
	group.Go(func() error { c.keepTime(inner); return nil })
	group.Go(func() error { c.adoptAll(inner); return nil })
	group.Go(func() error { c.report(inner, hello); return nil })
	err := group.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine.SetPeers(time.Now(), nil) // ends walks and sweeps
	return errors.Join(err, c.closeTables())
}

// adoptAll adopts what the loop publishes, in a goroutine of its own: keepTime may be in
// the middle of many events when the loop waits for its last word to be sent.
func (c *Channel) adoptAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.facts.published:
			c.adopt()
		}
	}
}

// receive takes in a datagram; rest is called after some.
func (c *Channel) receive(d datagram) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.take(d)
}

func (c *Channel) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step()
}

// maxTold bounds the hellos that wait to be reported.
const maxTold = 256

// take is receive with the lock held.
func (c *Channel) take(d datagram) {
	if d.from.Port() != Port {
		c.foreign++
		return
	}
	way := d.from.Addr()
	hello, err := c.engine.Receive(time.Now(), way, d.hops, d.payload)
	if err != nil || hello == nil || len(c.told) >= maxTold {
		return // the engine counts what it rejects; a hello is followed by another
	}
	c.told = append(c.told, membership.Packet{From: c.peers[way].Addr, Payload: slices.Clone(hello)})
	nudge(c.news)
}

// step has the engine do what is due, and keepTime see when it is due again.
func (c *Channel) step() {
	c.advance()
	nudge(c.retime)
}

// advance has the engine do what is due, and sends what comes of it.
func (c *Channel) advance() {
	c.engine.Step(time.Now(), func(way netip.Addr, b []byte) {
		c.unsent[way] = c.conn.send(b, c.peers[way])
	})
	now := time.Now()
	c.observe(now)
	if ready := c.mayPreempt(now); ready != c.ready {
		c.ready = ready
		nudge(c.news)
	}
}

// greetFor is how long a peer may take to greet, for all that is known.
const greetFor = 3 * time.Second

// mayPreempt reports whether this host knows what it must to take a peer's place. Of a peer
// that does not greet and is not known to be there, that is nothing.
func (c *Channel) mayPreempt(now time.Time) bool {
	if !c.replicates() {
		return true
	}
	alive := c.facts.living()
	for way, n := range c.peers {
		there := alive[plain(n.Addr)] || now.Sub(c.opened) < greetFor
		state := c.engine.State(now, way)
		if state == conntrack.Syncing || there && state != conntrack.InSync {
			return false
		}
	}
	return true
}

func nudge(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// report hands over what there is to report.
func (c *Channel) report(ctx context.Context, hello func(membership.Packet)) {
	last := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.news:
		}
		c.mu.Lock()
		told, now := c.told, c.ready
		c.told = nil
		c.mu.Unlock()
		for _, p := range told {
			hello(p)
		}
		if now != last {
			last = now
			c.tellReady(now)
		}
	}
}

// keepTime looks for news of flows and entries, and has the engine do what is due in
// time.
func (c *Channel) keepTime(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var look, found time.Time // when to look for news again, and when there were some
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.retime:
		case <-timer.C:
		}
		now := time.Now()
		if !now.Before(look) {
			if c.gather() {
				found = now
			}
			look = now.Add(c.pause(now.Sub(found)))
			now = time.Now()
		}
		c.mu.Lock()
		if at, ok := c.engine.Deadline(); ok && !at.After(now) {
			c.advance()
		}
		due := look
		if at, ok := c.engine.Deadline(); ok && at.Before(due.Add(-together)) {
			due = at
		}
		c.mu.Unlock()
		timer.Reset(time.Until(due))
	}
}

// pause is how long to wait before it is looked for news again, so long after there were
// some.
func (c *Channel) pause(quiet time.Duration) time.Duration {
	switch {
	case !c.replicates():
		return time.Hour
	case quiet < busyFor:
		return pollBusy
	}
	return pollIdle
}

// maxPieces bounds how much is gathered at once: 16,384 events of each table.
const maxPieces = 64

// gather takes in what has become of this host's flows and entries, in pieces: whoever
// waits for the lock gets it between two. It reports whether there was anything.
func (c *Channel) gather() (found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range maxPieces {
		some, more := c.gatherPieceLocked()
		found = found || some
		if !more {
			break
		}
		c.mu.Unlock()
		c.mu.Lock()
	}
	return found
}

// gatherPieceLocked reports whether there was anything, and whether there may be more.
func (c *Channel) gatherPieceLocked() (found, more bool) {
	if c.flows != nil {
		found, more = c.flows.gather(c.engine)
	}
	if c.entries != nil {
		foundEntry, moreEntries := c.entries.gather(c.engine)
		found, more = found || foundEntry, more || moreEntries
	}
	return found, more
}
