// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"hafast/internal/membership"
	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// Options say what a Channel is made of.
type Options struct {
	// Boot is random and not 0, new for each start of the daemon.
	Boot uint64
	// Keys are the pre-shared ones, the one that seals first. Without any, the channel
	// carries hellos alone.
	Keys [][]byte
	// Flows is the data path's flow table; nil: flows are not replicated.
	Flows FlowPath
	// Entries says which entries of the kernel's connection tracking are replicated; nil:
	// none.
	Entries *EntryOptions
	// Config is a hash of what must be alike in the configurations of all hosts.
	Config uint64
	// Ready is told whether this host knows enough to take what another is Active for, as
	// soon as it does not, and again when it does.
	Ready func(bool)
	Log   *slog.Logger
}

// Channel is this host's part in state sync. Its methods may be called from any
// goroutine. SetPeers, SetAlive, SetKeys, SetConfig and SetScope are for the daemon's loop:
// they publish facts and never wait for a table or a peer, see facts. All others may wait
// for a piece of work that is under way.
type Channel struct {
	conn      *conn
	opened    time.Time
	tellReady func(bool)
	log       *slog.Logger
	// retime wakes keepTime, news wakes report.
	retime, news chan struct{}

	facts facts
	// adopting is held while facts are adopted, and taken before mu.
	adopting sync.Mutex

	// mu guards all below. It is held for a piece of work: some datagrams, some events, a
	// step of the engine. The loop never takes it.
	mu      sync.Mutex
	engine  *conntrack.Engine
	flows   *flowTable  // nil: not replicated
	entries *entryTable // nil: not replicated
	// peers are by the address that datagrams go to and come from, ways the same by the
	// address that they are configured with.
	peers  map[netip.Addr]membership.Neighbour
	ways   map[netip.Addr]netip.Addr
	unsent map[netip.Addr]error // why the last datagram to a peer could not be sent
	// sessions are since when they are in their states.
	sessions map[netip.Addr]Session
	keys     []uint32 // ids
	// foreign counts datagrams that came from another port than a daemon's.
	foreign uint64
	// told are hellos to report, ready is what Options.Ready is to be told.
	told  []membership.Packet
	ready bool
}

// Open opens a Channel in the calling thread's network namespace. Either Run or Close is
// to be called for it.
func Open(o Options) (_ *Channel, err error) {
	keys, err := wire.NewKeyring(o.Keys...)
	if err != nil {
		return nil, fmt.Errorf("open state sync: %w", err)
	}
	c := &Channel{
		opened: time.Now(), tellReady: o.Ready, log: o.Log, retime: make(chan struct{}, 1), news: make(chan struct{}, 1), ready: true,
		peers: map[netip.Addr]membership.Neighbour{}, ways: map[netip.Addr]netip.Addr{},
		unsent: map[netip.Addr]error{}, sessions: map[netip.Addr]Session{}, keys: keys.IDs(), facts: newFacts(),
	}
	engine := conntrack.Options{Boot: o.Boot, Keys: keys, Config: o.Config}
	if keys.Sealed() && o.Flows != nil {
		o.Flows.ListenFlows(true)
		c.flows = newFlowTable(o.Flows, o.Log)
		engine.Flows = c.flows
	}
	if keys.Sealed() && o.Entries != nil {
		if c.entries, err = openEntryTable(*o.Entries, o.Log); err != nil {
			return nil, fmt.Errorf("open state sync: %w", err)
		}
		engine.Entries = c.entries
	}
	if c.engine, err = conntrack.New(time.Now(), engine); err == nil {
		c.conn, err = openConn()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open state sync: %w", err), c.closeTables())
	}
	return c, nil
}

// Close releases what a Channel holds that was never Run.
func (c *Channel) Close() error { return errors.Join(c.conn.close(), c.closeTables()) }

// replicates reports whether there is a table to replicate, which does not change.
func (c *Channel) replicates() bool { return c.flows != nil || c.entries != nil }

func (c *Channel) closeTables() error {
	if c.entries == nil {
		return nil
	}
	return c.entries.close()
}

// settleFor bounds how long a takeover waits for the last word of a host that is alive.
const settleFor = 20 * time.Millisecond

// Settle returns when all has been applied that the peers told of these VIPs'
// connections. It waits for what a living host has yet to say, or to send again, but no
// longer than 20 ms.
func (c *Channel) Settle(vips []netip.Addr) {
	c.adopt() // the VIPs are this host's before their first packet comes
	for end := time.Now().Add(settleFor); time.Now().Before(end); {
		settled, more := c.settled(vips)
		if settled {
			return
		}
		if !more {
			time.Sleep(settleFor / 40)
		}
	}
}

// settled applies some of what has arrived. It reports whether there is nothing more to
// wait for, and whether more has arrived.
func (c *Channel) settled(vips []netip.Addr) (settled, more bool) {
	alive := c.facts.living()
	c.mu.Lock()
	defer c.mu.Unlock()
	if more = c.conn.drain(burst, c.take); more {
		return false, true
	}
	c.step()
	now := time.Now()
	for way, n := range c.peers {
		if !alive[plain(n.Addr)] || c.engine.State(now, way) != conntrack.InSync {
			continue
		}
		for _, vip := range vips {
			if !c.engine.Settled(now, way, record.AddressOf(vip)) {
				return false, false
			}
		}
	}
	return true, false
}
