// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hafast/internal/membership"
	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// facts are what the daemon's loop publishes. The loop renews the host's lease, so that
// it must wait for no table, socket or lock that is held while one is worked on: its calls
// leave a fact here and return. Of several facts of a kind the last one counts.
type facts struct {
	// published wakes adoptAll.
	published chan struct{}

	// mu is held for assignments, never during a system call or for another lock.
	mu sync.Mutex
	// alive are peers that are known to be there, by the configured address. It is read
	// where it is, the others are adopted.
	alive map[netip.Addr]bool
	// vips are the scope that was published last.
	vips []netip.Addr
	unadopted
}

// unadopted are facts that the engine does not know of yet; each is nil if there is none.
type unadopted struct {
	peers  *[]membership.Neighbour
	keys   *wire.Keyring
	config *uint64
	scope  *scopeChange
}

// scopeChange is a new scope.
type scopeChange struct {
	vips []netip.Addr
	// sent are closed when the peers have been sent everything about what is given up.
	sent []chan struct{}
}

func newFacts() facts {
	return facts{published: make(chan struct{}, 1), alive: map[netip.Addr]bool{}}
}

// publish changes the facts and has them adopted.
func (f *facts) publish(change func()) {
	f.mu.Lock()
	change()
	f.mu.Unlock()
	nudge(f.published)
}

// take returns the facts that are to be adopted, once.
func (f *facts) take() unadopted {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.unadopted
	f.unadopted = unadopted{}
	return u
}

// living returns the peers that are known to be there.
func (f *facts) living() map[netip.Addr]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.alive)
}

// SetPeers replaces the peers, and the ways to them. It never waits.
func (c *Channel) SetPeers(neighbours []membership.Neighbour) {
	list := slices.Clone(neighbours)
	c.facts.publish(func() { c.facts.peers = &list })
}

// SetAlive publishes whether a peer is known to be there: Settle waits for no other. It
// never waits, and is in force when it returns.
func (c *Channel) SetAlive(peer netip.Addr, alive bool) {
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	c.facts.alive[plain(peer)] = alive
}

// SetKeys replaces the pre-shared keys. Sessions go on. It never waits.
func (c *Channel) SetKeys(keys [][]byte) error {
	ring, err := wire.NewKeyring(keys...)
	if err != nil {
		return fmt.Errorf("change sync keys: %w", err)
	}
	c.facts.publish(func() { c.facts.keys = ring })
	return nil
}

// SetConfig replaces the hash of what must be alike in all configurations. It never waits.
func (c *Channel) SetConfig(hash uint64) {
	c.facts.publish(func() { c.facts.config = &hash })
}

// lastWordFor bounds how long SetScope waits. It is a fifth of the shortest lease, and
// several times what the work takes.
const lastWordFor = 20 * time.Millisecond

// ErrLastWord is returned by SetScope when a VIP was given up and the peers have not yet
// been sent everything about it. They will be.
var ErrLastWord = errors.New("the peers may take over before they have the last changes")

// SetScope sets the VIPs that this host is Active for.
//
// This is the one call of the loop that waits, and only if VIPs are given up: the peers
// must have this host's last changes of them before the advert that makes one of them take
// over, and the loop sends that advert next. The work is done by the channel's own
// goroutine, which needs a millisecond or two; SetScope waits for it, but for no more than
// 20 ms, in which no lease is lost. After that it returns ErrLastWord, and the order is
// broken but nothing else: the advert leaves first, the changes follow it, and a peer that
// takes over waits for them by itself, for 20 ms (Settle). A host that is as slow as that
// had better resign than keep its peers waiting.
//
// VIPs that are new here are adopted soon, and by Settle at the latest, which comes before
// their first packet.
func (c *Channel) SetScope(vips []netip.Addr) error {
	vips = slices.Clone(vips)
	var sent chan struct{}
	c.facts.publish(func() {
		f := &c.facts
		if f.scope == nil {
			f.scope = &scopeChange{}
		}
		f.scope.vips = vips
		if c.replicates() && slices.ContainsFunc(f.vips, func(a netip.Addr) bool { return !slices.Contains(vips, a) }) {
			sent = make(chan struct{})
			f.scope.sent = append(f.scope.sent, sent)
		}
		f.vips = vips
	})
	if sent == nil {
		return nil
	}
	timeout := time.NewTimer(lastWordFor)
	defer timeout.Stop()
	select {
	case <-sent:
		return nil
	case <-timeout.C:
		return ErrLastWord
	}
}

// adopt brings the engine to what has been published, if there is anything. All but the
// loop may call it.
func (c *Channel) adopt() {
	c.adopting.Lock()
	defer c.adopting.Unlock()
	u := c.facts.take()
	if u.scope != nil {
		c.adoptScope(u.scope) // the loop may be waiting
	}
	if u.keys != nil || u.config != nil {
		c.adoptConfig(u)
	}
	if u.peers != nil {
		c.adoptPeers(*u.peers)
	}
}

// adoptScope has the engine send everything about the VIPs that are given up, and then
// the new scope.
func (c *Channel) adoptScope(change *scopeChange) {
	list := make([]record.Address, len(change.vips))
	for i, a := range change.vips {
		list[i] = record.AddressOf(a)
	}
	loses := len(change.sent) > 0
	c.mu.Lock()
	defer c.mu.Unlock()
	if loses {
		c.lastWordLocked()
	}
	if err := c.engine.SetScope(time.Now(), list); err != nil {
		c.log.Error("the peers are not sent which VIPs are here", "error", err)
	}
	if loses {
		c.step()
	}
	nudge(c.retime) // to send new ones has time: the takeover has not
	for _, sent := range change.sent {
		close(sent)
	}
}

// lastWordSteps bounds how many steps the last word may take: that is room for 2,500
// changes of flows or so. What is beyond is sent behind the new scope.
const lastWordSteps = 4

// lastWordLocked sends all changes that there are. It keeps the lock, since the loop waits
// for this and for nobody else who wants it.
func (c *Channel) lastWordLocked() {
	for range maxPieces {
		if _, more := c.gatherPieceLocked(); !more {
			break
		}
	}
	c.engine.Flush()
	for range lastWordSteps {
		if c.step(); c.engine.Flushed() {
			break
		}
	}
}

func (c *Channel) adoptConfig(u unadopted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u.keys != nil {
		c.keys = u.keys.IDs()
		if err := c.engine.SetKeys(u.keys); err != nil {
			c.log.Error("the sync keys stay as they were", "error", err)
		}
	}
	if u.config != nil {
		c.engine.SetConfig(time.Now(), *u.config)
		c.step()
	}
}

// adoptPeers asks the routes first, which takes system calls for each peer.
func (c *Channel) adoptPeers(neighbours []membership.Neighbour) {
	list := make([]conntrack.Peer, len(neighbours))
	for i, n := range neighbours {
		// Where there is no route yet, the usual MTU has to do.
		mtu, _ := pathMTU(n)
		list[i] = conntrack.Peer{Addr: plain(n.Way()), MTU: mtu}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.peers)
	clear(c.ways)
	for i, n := range neighbours {
		c.peers[list[i].Addr], c.ways[plain(n.Addr)] = n, list[i].Addr
	}
	c.engine.SetPeers(time.Now(), list)
	c.step()
}
