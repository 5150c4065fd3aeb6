// SPDX-License-Identifier: Apache-2.0

// Package simnet is a network for tests: it carries datagrams between endpoints in
// simulated time, and loses, delays, repeats and mixes them up as it is told. The same
// seed gives the same run.
package simnet

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Epoch is when each network's time begins.
var Epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// maxTicks is how often endpoints may be called without time passing.
const maxTicks = 10000

// Endpoint is a host. It is called with what arrives and when its deadline has come,
// and sends by Net.Send from there.
type Endpoint interface {
	Receive(now time.Time, from int, datagram []byte)
	// Deadline is when Tick is wanted; zero: never. One in the past means at once.
	Deadline() time.Time
	Tick(now time.Time)
}

// Link is what happens to datagrams from one endpoint to another.
type Link struct {
	Delay  time.Duration // one way
	Jitter time.Duration // up to this much more, evenly spread; mixes up the order
	// Loss, Duplicate and Reorder are probabilities. What is reordered is late by
	// another Late.
	Loss, Duplicate, Reorder float64
	Late                     time.Duration
	// Rate is datagrams a second, 0 without limit; Queue is how many may wait for
	// their turn, as in a receiver's socket buffer. What comes when it is full is lost.
	Rate  float64
	Queue int
	Down  bool
}

// Counts are datagrams by their fate.
type Counts struct {
	Sent       int // by endpoints
	Bytes      int // of them
	Lost       int // by chance, because the link is down, or because nobody is there
	Overrun    int // lost because a queue was full
	Duplicated int
	Delivered  int
}

// Net is a network of endpoints 0 .. n-1. It is not safe for concurrent use.
type Net struct {
	now    time.Time
	random *rand.Rand
	hosts  []Endpoint
	links  []lane
	queue  events
	serial uint64
	ticks  int // in a row without time passing
	counts Counts
}

type lane struct {
	Link
	free   time.Time // when the rate lets the next datagram pass
	counts Counts
}

// New returns a network of n endpoints, all links alike.
func New(seed uint64, n int, link Link) *Net {
	return &Net{
		now: Epoch, random: rand.New(rand.NewPCG(seed, 0)),
		hosts: make([]Endpoint, n), links: slices.Repeat([]lane{{Link: link}}, n*n),
	}
}

// Now is the simulated time.
func (n *Net) Now() time.Time { return n.now }

// Attach puts a host in its place, in the stead of the one before. nil: nobody is there.
func (n *Net) Attach(id int, e Endpoint) { n.hosts[id] = e }

// Link is what happens from one endpoint to another. It may be changed at any time; what
// is on its way already is not touched.
func (n *Net) Link(from, to int) *Link { return &n.lane(from, to).Link }

// Counts are those of all links; LinkCounts those of one.
func (n *Net) Counts() Counts { return n.counts }

// LinkCounts are those of the link between two endpoints, one way.
func (n *Net) LinkCounts(from, to int) Counts { return n.lane(from, to).counts }

func (n *Net) lane(from, to int) *lane { return &n.links[from*len(n.hosts)+to] }

// Send puts a copy of a datagram on its way.
func (n *Net) Send(from, to int, datagram []byte) {
	l := n.lane(from, to)
	n.count(l, func(c *Counts) { c.Sent++; c.Bytes += len(datagram) })
	copies := 1
	if n.chance(l.Duplicate) {
		copies = 2
		n.count(l, func(c *Counts) { c.Duplicated++ })
	}
	datagram = slices.Clone(datagram)
	for range copies {
		if l.Down || n.chance(l.Loss) {
			n.count(l, func(c *Counts) { c.Lost++ })
			continue
		}
		at, ok := n.pass(l)
		if !ok {
			n.count(l, func(c *Counts) { c.Overrun++ })
			continue
		}
		n.At(at, func() { n.deliver(l, from, to, datagram) })
	}
}

// pass finds out when a datagram arrives.
func (n *Net) pass(l *lane) (time.Time, bool) {
	leaves := n.now
	if l.Rate > 0 {
		each := time.Duration(float64(time.Second) / l.Rate)
		if l.free.After(leaves) {
			leaves = l.free
		}
		if leaves.Sub(n.now) > time.Duration(l.Queue)*each {
			return time.Time{}, false
		}
		l.free = leaves.Add(each)
	}
	at := leaves.Add(l.Delay)
	if l.Jitter > 0 {
		at = at.Add(time.Duration(n.random.Int64N(int64(l.Jitter))))
	}
	if n.chance(l.Reorder) {
		at = at.Add(l.Late)
	}
	return at, true
}

func (n *Net) deliver(l *lane, from, to int, datagram []byte) {
	host := n.hosts[to]
	if host == nil {
		n.count(l, func(c *Counts) { c.Lost++ })
		return
	}
	n.count(l, func(c *Counts) { c.Delivered++ })
	host.Receive(n.now, from, datagram)
}

func (n *Net) count(l *lane, add func(*Counts)) {
	add(&l.counts)
	add(&n.counts)
}

// chance asks for a random number only where one is needed.
func (n *Net) chance(p float64) bool { return p > 0 && n.random.Float64() < p }

// At has something done at a time; at once, if that is past.
func (n *Net) At(at time.Time, do func()) {
	if at.Before(n.now) {
		at = n.now
	}
	n.serial++
	heap.Push(&n.queue, event{at, n.serial, do})
}

// After has something done in a while.
func (n *Net) After(d time.Duration, do func()) { n.At(n.now.Add(d), do) }

// Run lets the time pass.
func (n *Net) Run(d time.Duration) {
	n.RunUntil(d, func() bool { return false })
}

// RunUntil lets the time pass until something is so, at most for d. It reports whether
// it is so.
func (n *Net) RunUntil(d time.Duration, done func() bool) bool {
	end := n.now.Add(d)
	for !done() {
		if !n.step(end) {
			n.now = end
			return done()
		}
	}
	return true
}

// step does the next thing, if it is due until then.
func (n *Net) step(end time.Time) bool {
	id, due := n.earliest()
	if len(n.queue) > 0 && (id < 0 || !n.queue[0].at.After(due)) {
		if n.queue[0].at.After(end) {
			return false
		}
		e := heap.Pop(&n.queue).(event)
		n.now, n.ticks = e.at, 0
		e.do()
		return true
	}
	if id < 0 || due.After(end) {
		return false
	}
	n.ticks++
	if due.After(n.now) {
		n.ticks = 0
	}
	if n.ticks > maxTicks {
		panic(fmt.Sprintf("simnet: the deadline of endpoint %d is past at %v, however often it is called", id, due))
	}
	n.now = due
	n.hosts[id].Tick(due)
	return true
}

// earliest is the endpoint with the earliest deadline; -1: none has one.
func (n *Net) earliest() (id int, due time.Time) {
	id = -1
	for i, host := range n.hosts {
		if host == nil {
			continue
		}
		at := host.Deadline()
		if at.IsZero() {
			continue
		}
		if at.Before(n.now) {
			at = n.now
		}
		if id < 0 || at.Before(due) {
			id, due = i, at
		}
	}
	return id, due
}

type event struct {
	at     time.Time
	serial uint64 // what was asked for first is done first
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if c := e[i].at.Compare(e[j].at); c != 0 {
		return c < 0
	}
	return e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}
