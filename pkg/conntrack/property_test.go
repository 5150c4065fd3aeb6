// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/stream"
	"hafast/pkg/conntrack/stream/simnet"
)

var worlds = flag.Int("worlds", 60, "how many worlds TestHealsWhateverHappened makes")

// TestHealsWhateverHappened: hosts that restart, die, stand still, hold the same VIP at
// once or in turn, on links that lose, mix up and fail, with outboxes and windows that
// overflow, have the same flows once the network is whole for a while; and those are the
// Active's.
func TestHealsWhateverHappened(t *testing.T) {
	worlds := *worlds
	if raceEnabled {
		worlds = min(worlds, 20)
	}
	for seed := range uint64(worlds) {
		w := newWorld(t, seed)
		for range 5 + w.random.IntN(60) {
			w.happen()
		}
		w.heal()
		if t.Failed() {
			return
		}
	}
}

// world is a rig to which things happen.
type world struct {
	*rig
	t      *testing.T
	random *rand.Rand
	vips   []record.Address
	log    []string
}

const worldAudit = 3 * time.Second

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 7)), vips: []record.Address{vip1, vip2, vip6}}
	limits := conntrack.Limits{
		Outbox: []int{100, 1000, 100_000}[w.random.IntN(3)],
		Stream: stream.Limits{Batches: []int{4, 64, 1024}[w.random.IntN(3)]},
	}
	w.rig = newRig(t, shape{
		seed: seed, hosts: 2 + w.random.IntN(2), link: w.link(), audit: worldAudit, limits: limits,
		each: func(h *host) {
			h.mtu = []int{1280, 1500, 9000}[w.random.IntN(3)]
			h.offset = time.Duration(w.random.IntN(7200)) * time.Second
		},
	})
	w.note("seed %d: %d hosts, %+v", seed, len(w.hosts), limits)
	for i, vip := range w.vips {
		h := w.hosts[i%len(w.hosts)]
		h.fill(0, w.random.IntN(3000), vip)
		h.hold(append(h.scope, vip)...)
	}
	return w
}

func (w *world) note(format string, args ...any) {
	at := w.rig.net.Now().Sub(simnet.Epoch)
	w.log = append(w.log, fmt.Sprint(at.Round(time.Microsecond), " ", fmt.Sprintf(format, args...)))
}

func (w *world) link() simnet.Link {
	l := simnet.Link{Delay: time.Duration(50+w.random.IntN(2000)) * time.Microsecond}
	l.Jitter = l.Delay / 2
	l.Loss = []float64{0, 0.01, 0.1, 0.5}[w.random.IntN(4)]
	l.Duplicate = []float64{0, 0.2}[w.random.IntN(2)]
	l.Reorder, l.Late = []float64{0, 0.1}[w.random.IntN(2)], 3*time.Millisecond
	return l
}

func (w *world) host() *host { return w.hosts[w.random.IntN(len(w.hosts))] }

// wait lets a while pass: mostly short, sometimes long enough for everything to time
// out.
func (w *world) wait() {
	d := time.Duration(w.random.IntN(5000)) * time.Microsecond
	switch w.random.IntN(10) {
	case 0:
		d *= 1000
	case 1, 2:
		d *= 50
	}
	w.rig.net.Run(d)
}

func (w *world) happen() {
	w.wait()
	h, vip := w.host(), w.vips[w.random.IntN(len(w.vips))]
	switch w.random.IntN(14) {
	case 0, 1, 2, 3, 4:
		w.note("traffic")
		w.traffic()
	case 5:
		w.note("host %d moves %v", h.id, vip)
		for _, other := range w.hosts {
			w.release(other, vip)
		}
		h.hold(append(slices.Clone(h.scope), vip)...)
	case 6:
		if !slices.Contains(h.scope, vip) {
			w.note("host %d holds %v too", h.id, vip)
			h.hold(append(slices.Clone(h.scope), vip)...)
		}
	case 7:
		w.note("host %d releases %v", h.id, vip)
		w.release(h, vip)
	case 8:
		w.note("daemon of host %d restarts", h.id)
		h.start()
	case 9:
		w.note("host %d dies", h.id)
		h.die()
		w.wait()
		h.start()
	case 10:
		h.deaf = !h.deaf
		w.note("host %d deaf: %v", h.id, h.deaf)
	case 11:
		other := w.host()
		l := w.rig.net.Link(h.id, other.id)
		l.Down = !l.Down
		w.note("link %d to %d down: %v", h.id, other.id, l.Down)
	case 12:
		*w.rig.net.Link(h.id, w.host().id) = w.link()
		w.note("link from %d changes", h.id)
	case 13:
		w.note("host %d loses events and flows", h.id)
		for range 50 {
			h.table.drop(keyOf(w.random.IntN(3000), vip))
		}
		h.engine.Lost(h.now())
	}
}

func (w *world) release(h *host, vip record.Address) {
	if slices.Contains(h.scope, vip) {
		h.hold(slices.DeleteFunc(slices.Clone(h.scope), func(a record.Address) bool { return a == vip })...)
	}
}

// traffic has flows come, be used and go on all hosts, to VIPs that they hold or do not.
func (w *world) traffic() {
	for range w.random.IntN(300) {
		h, vip := w.host(), w.vips[w.random.IntN(len(w.vips))]
		if h.deaf {
			continue
		}
		f := record.Flow{Key: keyOf(w.random.IntN(3000), vip), Target: w.hosts[w.random.IntN(len(w.hosts))].addrRecord()}
		_, there := h.table.get(f.Key)
		switch {
		case !there:
			h.news(conntrack.Created, f)
		case w.random.IntN(2) == 0:
			h.news(conntrack.Deleted, f)
		default:
			f.Closing = w.random.IntN(2) == 0
			h.news(conntrack.Changed, f)
		}
		if w.random.IntN(4) == 0 {
			w.rig.net.Run(time.Duration(w.random.IntN(1000)) * time.Microsecond)
		}
	}
}

func (h *host) addrRecord() record.Address { return record.AddressOf(h.addr) }

// heal makes the network whole, gives each VIP to one host, and looks whether all
// become alike.
func (w *world) heal() {
	w.note("heals")
	for _, a := range w.hosts {
		a.deaf = false
		a.step()
		for _, b := range w.hosts {
			*w.rig.net.Link(a.id, b.id) = quickLink
		}
	}
	active := map[record.Address]*host{}
	for _, vip := range w.vips {
		for _, h := range w.hosts {
			if slices.Contains(h.scope, vip) {
				if active[vip] != nil {
					w.release(h, vip)
				} else {
					active[vip] = h
				}
			}
		}
		if active[vip] == nil {
			active[vip] = w.host()
			active[vip].hold(append(slices.Clone(active[vip].scope), vip)...)
		}
	}
	// A resync may wait for 13 s if many have failed; then an audit.
	w.rig.net.Run(20*time.Second + 3*worldAudit)
	for _, vip := range w.vips {
		for _, h := range w.hosts {
			if diff := difference(active[vip].table, h.table, []record.Address{vip}); diff != "" {
				w.t.Errorf("host %d is not like host %d: %s", h.id, active[vip].id, diff)
			}
		}
	}
	for _, h := range w.hosts {
		for _, p := range h.engine.Status(h.now()).Peers {
			if p.State != conntrack.InSync || !p.Covered || p.Backlog != 0 {
				w.t.Errorf("host %d is not in sync with %v", h.id, p.Addr)
			}
		}
	}
	w.check()
	if w.t.Failed() {
		for _, line := range w.log {
			w.t.Log(line)
		}
		w.t.Log(w.describe())
	}
}
