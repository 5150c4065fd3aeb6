package statesync

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
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
// goroutine, and return soon: they wait for a batch that is being applied at most.
type Channel struct {
	conn      *conn
	opened    time.Time
	tellReady func(bool)
	log       *slog.Logger
	// retime wakes keepTime, news wakes report.
	retime, news chan struct{}

	// mu guards all below.
	mu      sync.Mutex
	engine  *conntrack.Engine
	flows   *flowTable  // nil: not replicated
	entries *entryTable // nil: not replicated
	// peers are by the address that datagrams go to and come from, ways the same by the
	// address that they are configured with.
	peers map[netip.Addr]membership.Neighbour
	ways  map[netip.Addr]netip.Addr
	// alive are peers that are known to be there, by the configured address.
	alive  map[netip.Addr]bool
	unsent map[netip.Addr]error // why the last datagram to a peer could not be sent
	// sessions are since when they are in their states.
	sessions map[netip.Addr]Session
	scope    []netip.Addr
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
		alive: map[netip.Addr]bool{}, unsent: map[netip.Addr]error{},
		sessions: map[netip.Addr]Session{}, keys: keys.IDs(),
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

func (c *Channel) closeTables() error {
	if c.entries == nil {
		return nil
	}
	return c.entries.close()
}

// SetPeers replaces the peers, and the ways to them.
func (c *Channel) SetPeers(neighbours []membership.Neighbour) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.peers)
	clear(c.ways)
	var list []conntrack.Peer
	for _, n := range neighbours {
		way := plain(n.Addr)
		if n.Via.IsValid() {
			way = plain(n.Via)
		}
		c.peers[way], c.ways[plain(n.Addr)] = n, way
		// Where there is no route yet, the usual one has to do.
		mtu, _ := pathMTU(n)
		list = append(list, conntrack.Peer{Addr: way, MTU: mtu})
	}
	c.engine.SetPeers(time.Now(), list)
	c.step()
}

// SetAlive reports whether a peer is known to be there: Settle waits for no other.
func (c *Channel) SetAlive(peer netip.Addr, alive bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alive[plain(peer)] = alive
}

// SetKeys replaces the pre-shared keys. Sessions go on.
func (c *Channel) SetKeys(keys [][]byte) error {
	ring, err := wire.NewKeyring(keys...)
	if err != nil {
		return fmt.Errorf("change sync keys: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = ring.IDs()
	return c.engine.SetKeys(ring)
}

// SetConfig replaces the hash of what must be alike in all configurations.
func (c *Channel) SetConfig(hash uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine.SetConfig(time.Now(), hash)
	c.step()
}

// SetScope sets the VIPs that this host is Active for. Of those that it gives up, the
// peers have been told everything when it returns, as far as it is for this host to do.
func (c *Channel) SetScope(vips []netip.Addr) error {
	list := make([]record.Address, len(vips))
	for i, a := range vips {
		list[i] = record.AddressOf(a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	loses := slices.ContainsFunc(c.scope, func(a netip.Addr) bool { return !slices.Contains(vips, a) })
	c.scope = slices.Clone(vips)
	if loses {
		c.gather()
		c.engine.Flush()
		c.step()
	}
	err := c.engine.SetScope(time.Now(), list)
	if loses {
		c.step()
	}
	nudge(c.retime) // to tell of new ones has time: the takeover has not
	return err
}

// settleFor bounds how long a takeover waits for the last word of a host that is alive.
const settleFor = 20 * time.Millisecond

// Settle returns when all has been applied that the peers told of these VIPs'
// connections. It waits for what a living host has yet to say, or to send again, but no
// longer than 20 ms.
func (c *Channel) Settle(vips []netip.Addr) {
	for end := time.Now().Add(settleFor); !c.settled(vips) && time.Now().Before(end); {
		time.Sleep(settleFor / 40)
	}
}

// settled applies what has arrived and reports whether more is to be waited for.
func (c *Channel) settled(vips []netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.drain(c.take)
	c.step()
	now := time.Now()
	for way, n := range c.peers {
		if !c.alive[plain(n.Addr)] || c.engine.State(now, way) != conntrack.InSync {
			continue
		}
		for _, vip := range vips {
			if !c.engine.Settled(now, way, record.AddressOf(vip)) {
				return false
			}
		}
	}
	return true
}
