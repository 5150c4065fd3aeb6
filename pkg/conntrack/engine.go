// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/stream"
	"hafast/pkg/conntrack/wire"
)

// Options are what an Engine is made with.
type Options struct {
	// Boot is random and not 0, new for each start of the daemon.
	Boot uint64
	// Keys seal what is sent. Without a key only hellos go.
	Keys *wire.Keyring
	// Flows and Entries are the tables; nil: not replicated.
	Flows   FlowTable
	Entries EntryTable
	// Config is a hash of what must be alike in the configurations of all hosts.
	Config uint64
	// AuditPeriod is the time between the beginnings of two audits of a table; 0: 60 s. It
	// is to be less than half of what an idle record lives, because audits keep the
	// peers' records alive.
	AuditPeriod time.Duration
	Limits      Limits
}

// Limits bound memory and work. 0 is the default.
type Limits struct {
	// Outbox is how many changes of a table may wait for a peer; 0: 65536.
	Outbox int
	// Stream bounds what is under way in each direction.
	Stream stream.Limits
	// AuditRate is how many records a second an audit tells at most; 0: 20000. That is
	// about 1 % of a processor.
	AuditRate int
}

// Peer is one address of another host, and the MTU of the path to it; 0: 1500.
type Peer struct {
	Addr netip.Addr
	MTU  int
}

const (
	defaultMTU       = 1500
	minMTU           = 1280 // of IPv6 (RFC 8200 section 5)
	defaultOutbox    = 1 << 16
	defaultAudit     = time.Minute
	defaultAuditRate = 20_000
	// pauseAfter is how late a step may be before it says that this host stood still:
	// what its peers sent meanwhile may still lie in the socket.
	pauseAfter = 300 * time.Millisecond
)

// Engine keeps this host's tables and those of its peers alike. It is stepped by one
// goroutine; see the package's comment for how. It is not safe for concurrent use.
type Engine struct {
	origin   time.Time // times are counted from it
	now      time.Duration
	awake    time.Duration // silence counts from then on
	expected time.Duration // when the next step was due; 0: not known

	sealer   *wire.Sealer
	ring     *wire.Keyring
	greeting wire.Greeting
	flows    FlowTable
	entries  EntryTable
	limits   Limits
	pace     auditPace

	sessions []*session // by address
	index    map[netip.Addr]*session
	// former are those with peers that are not named any more. One that is named again
	// knows which epochs of this boot it has had, and what was recorded of it is old.
	former  map[netip.Addr]*session
	hello   []byte
	scope   []record.Address
	active  vips // scope
	held    vips // scope, and what lingers
	lingers int  // how much does

	ack          wire.Ack
	body, sealed []byte
	rejected     map[wire.Reject]uint64 // of nobody's
}

// New returns an engine without peers and VIPs, at the time now.
func New(now time.Time, o Options) (*Engine, error) {
	sealer, err := wire.NewSealer(o.Keys, o.Boot)
	if err != nil {
		return nil, fmt.Errorf("make engine: %w", err)
	}
	o.Limits.Outbox = cmp.Or(o.Limits.Outbox, defaultOutbox)
	e := &Engine{
		origin: now, sealer: sealer, ring: o.Keys, flows: o.Flows, entries: o.Entries, limits: o.Limits,
		greeting: wire.Greeting{Lowest: wire.LowestVersion, Highest: wire.HighestVersion, Config: o.Config},
		pace: auditPace{
			period: cmp.Or(o.AuditPeriod, defaultAudit),
			rate:   float64(cmp.Or(o.Limits.AuditRate, defaultAuditRate)),
		},
		index: map[netip.Addr]*session{}, former: map[netip.Addr]*session{}, rejected: map[wire.Reject]uint64{},
	}
	if o.Flows != nil {
		e.greeting.Tables |= 1 << wire.Flows
	}
	if o.Entries != nil {
		e.greeting.Tables |= 1 << wire.Entries
	}
	return e, nil
}

// SetPeers replaces the peers. Sessions with those that stay go on.
func (e *Engine) SetPeers(now time.Time, peers []Peer) {
	e.tell(now)
	index := make(map[netip.Addr]*session, len(peers))
	for _, p := range peers {
		addr := p.Addr.Unmap()
		mtu := max(cmp.Or(p.MTU, defaultMTU), minMTU)
		s := e.index[addr]
		if s == nil {
			s = e.open(addr, mtu)
		}
		s.resize(mtu)
		index[addr] = s
	}
	for addr, s := range e.index {
		if index[addr] == nil {
			s.close()
			e.former[addr] = s
		}
	}
	e.index = index
	e.sessions = slices.SortedFunc(maps.Values(index), func(a, b *session) int { return a.addr.Compare(b.addr) })
	e.hold()
}

// open returns a session with a peer that was not named until now: the former one, if it
// was named before.
func (e *Engine) open(addr netip.Addr, mtu int) *session {
	s := e.former[addr]
	if s == nil {
		return newSession(e, addr, mtu)
	}
	delete(e.former, addr)
	s.reopen()
	return s
}

// SetKeys replaces the keys. Sessions go on: a peer that has the first of the new ones
// understands what comes, one that has not refuses it.
func (e *Engine) SetKeys(keys *wire.Keyring) error {
	if err := e.sealer.Rekey(keys); err != nil {
		return fmt.Errorf("change sync keys: %w", err)
	}
	e.ring = keys
	for _, s := range e.sessions {
		s.opener.Rekey(keys)
		if !keys.Sealed() {
			s.version = 0 // from now on nothing but hellos may go
			s.out.shut()
		}
	}
	return nil
}

// SetConfig replaces the hash of the configuration.
func (e *Engine) SetConfig(now time.Time, hash uint64) {
	if e.greeting.Config != hash {
		e.greeting.Config = hash
		e.SendHello(now, netip.Addr{})
	}
}

// ErrScope says that a host holds more VIPs than can be told.
var ErrScope = errors.New("too many VIPs for state sync")

// SetScope sets the VIPs that this host is Active for. It is called before the first
// packet to a new one can arrive, and after all changes of one that is gone have been
// told. Peers are told at once: see Settled.
func (e *Engine) SetScope(now time.Time, held []record.Address) error {
	at := e.tell(now)
	scope := sorted(held)
	if len(scope) > wire.MaxScope {
		return fmt.Errorf("%w: %d, more than %d", ErrScope, len(scope), wire.MaxScope)
	}
	if slices.Equal(scope, e.scope) {
		return nil
	}
	lost := vipsOf(scope).without(e.scope)
	e.scope, e.active = scope, vipsOf(scope)
	for _, s := range e.sessions {
		s.out.rescope(at, lost)
	}
	e.hold()
	return nil
}

// hold finds anew what this host keeps for itself.
func (e *Engine) hold() {
	lists := [][]record.Address{e.scope}
	for _, s := range e.sessions {
		lists = append(lists, s.out.lingering)
	}
	e.held, e.lingers = vipsOf(lists...), e.lingering()
}

// sweepable returns the VIPs whose records a peer's walk may drop here, of those that
// it is Active for; false if it may drop nothing. Entries are of no VIP: only a host that
// is Active for none takes the word of one that is.
func (e *Engine) sweepable(t wire.Table, theirs []record.Address) ([]record.Address, bool) {
	if t == wire.Entries {
		return nil, len(theirs) > 0 && len(e.held) == 0
	}
	list := e.held.without(theirs)
	return list, len(list) > 0
}

// SetHello sets what goes to the peers along with a greeting: an opaque text of at most
// wire.MaxPart bytes, of which the engine keeps a copy. It goes when SendHello asks
// for it, and by itself once a second or more often.
func (e *Engine) SetHello(hello []byte) error {
	if len(hello) > maxHello {
		return fmt.Errorf("hello of %d bytes, more than %d", len(hello), maxHello)
	}
	e.hello = slices.Clone(hello)
	return nil
}

// maxHello leaves room for the rest of a datagram in the largest there is.
const maxHello = wire.MaxPart - 1024

// SendHello has the hello sent with the next step, to a peer, or to all with the zero
// Addr.
func (e *Engine) SendHello(now time.Time, to netip.Addr) {
	e.tell(now)
	for _, s := range e.sessions {
		s.helloDue = s.helloDue || !to.IsValid() || s.addr == to.Unmap()
	}
}

// Flow takes in a change of this host's flow table. Of what its packets do all is told;
// that it drops a flow to a VIP of which it is not Active is its own business.
func (e *Engine) Flow(now time.Time, news News, f *record.Flow) {
	at := e.tell(now)
	if news == Deleted && !e.active.has(f.Key.VIP) {
		return
	}
	for _, s := range e.sessions {
		if s.out.phase == telling && s.out.flows.on {
			s.out.flows.put(at, news, f)
		}
	}
}

// Entry takes in a change of this host's connection tracking, but for those that Apply
// has made. A host that is Active for nothing tells of no deletions.
func (e *Engine) Entry(now time.Time, news News, entry *record.Entry) {
	at := e.tell(now)
	if news == Deleted && len(e.scope) == 0 {
		return
	}
	for _, s := range e.sessions {
		if s.out.phase == telling && s.out.entries.on {
			s.out.entries.put(at, news, entry)
		}
	}
}

// Lost says that changes of this host's tables were missed. Every peer is told
// everything anew.
func (e *Engine) Lost(now time.Time) {
	at := e.tell(now)
	for _, s := range e.sessions {
		if s.out.phase == telling {
			s.out.renew(at, ReasonLost)
		}
	}
}

// Resync has every peer tell everything anew, as when this host has lost a table.
func (e *Engine) Resync(now time.Time) {
	e.tell(now)
	for _, s := range e.sessions {
		s.in.ask()
	}
}

// Flush has the news leave with the next step, without waiting for more.
func (e *Engine) Flush() {
	for _, s := range e.sessions {
		s.out.flush = true
	}
}

// Flushed reports whether all that Flush was called for has left, to each peer that is
// there.
func (e *Engine) Flushed() bool {
	return !slices.ContainsFunc(e.sessions, func(s *session) bool { return s.out.flush && s.out.phase == telling })
}

// tell takes in the time. It never goes backwards.
func (e *Engine) tell(now time.Time) time.Duration {
	e.now = max(e.now, now.Sub(e.origin))
	return e.now
}

// time and since convert between points in time and times from the origin.
func (e *Engine) time(d time.Duration) time.Time  { return e.origin.Add(d) }
func (e *Engine) since(t time.Time) time.Duration { return t.Sub(e.origin) }
