// SPDX-License-Identifier: Apache-2.0

package cost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"hafast/pkg/loader"
	"hafast/test/program/rig"
)

// Options say how much is measured.
type Options struct {
	Rounds  int `json:"rounds"`  // of each case
	Packets int `json:"packets"` // of each run in a round
	Many    int `json:"many"`    // flows in the full table
	Some    int `json:"some"`    // flows of the random traffic
	// Progress, if set, is told of each case as it is done.
	Progress func(Cost) `json:"-"`
}

// Runs are of one program, in nanoseconds per packet and in the order of the rounds.
type Runs []float64

// Cost is what has been measured of one case.
type Cost struct {
	Kind    string `json:"kind"`
	Family  string `json:"family"`
	Setting string `json:"setting"`
	Nothing Runs   `json:"nothing"` // what measuring costs
	Hafast  Runs   `json:"hafast"`
	Floor   Runs   `json:"floor,omitempty"`
}

// String is what it took more than nothing.
func (c Cost) String() string {
	return fmt.Sprintf("%s ns, look-ups alone %s", cell(above(c.Hafast, c.Nothing)), cell(above(c.Floor, c.Nothing)))
}

// setting is what is in the table and whose packets come.
type setting struct {
	name  string
	table int // flows in the table
	from  int // clients, at random
}

// usual settings are for a table of the default size, large ones for one of Many.
func (o Options) usual() []setting {
	return []setting{
		{"1 flow", 1, 1},
		{fmt.Sprintf("%s random flows", count(o.Some)), o.Some, o.Some},
	}
}

func (o Options) large() []setting {
	return []setting{
		{fmt.Sprintf("1 of %s flows", count(o.Many)), o.Many, 1},
		{fmt.Sprintf("%s random flows", count(o.Many)), o.Many, o.Many},
	}
}

// count is a number as people say it.
func count(n int) string {
	switch {
	case n >= 1e6 && n%1e5 == 0:
		return fmt.Sprintf("%g M", float64(n)/1e6)
	case n >= 1000 && n%1000 == 0:
		return fmt.Sprintf("%d k", n/1000)
	}
	return fmt.Sprint(n)
}

// measure runs every case in all settings.
func (h *harness) measure(ctx context.Context, o Options, settings []setting) (costs []Cost, err error) {
	listeners, err := h.listen(portHere)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll(listeners)) }()
	for _, f := range rig.Families() {
		for _, s := range settings {
			var filled int
			for i, k := range kinds() {
				if k.alone && s.table > 1 || k.stores && s.from > 1 {
					continue
				}
				if k.stores || i == 0 || k.known {
					// What a case before has stored, or whose flows they were.
					if err := h.refill(f, s.table, k.place, filled > 0 && !k.stores && s.table == filled); err != nil {
						return nil, err
					}
					filled = s.table
				}
				c, err := h.cost(ctx, o, f, s, k)
				if err != nil {
					return nil, fmt.Errorf("%s, %s, %s: %w", k.name, f.Name, s.name, err)
				}
				if o.Progress != nil {
					o.Progress(c)
				}
				costs = append(costs, c)
			}
		}
		if err := h.refill(f, 0, 0, false); err != nil {
			return nil, err
		}
	}
	return costs, nil
}

// refill puts flows into the table, instead of or over what is there.
func (h *harness) refill(f rig.Family, n, place int, over bool) error {
	if !over {
		if _, err := h.DeleteFlows(func(loader.Flow) bool { return true }); err != nil {
			return err
		}
	}
	return h.PutFlows(flows(f, n, place))
}

// listen opens sockets on a port of the VIPs.
func (h *harness) listen(port uint16) (list []net.Listener, err error) {
	for _, f := range rig.Families() {
		var l net.Listener
		h.Do(func() { l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(f.VIP, port))) })
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen: %w", err), closeAll(list))
		}
		list = append(list, l)
	}
	return list, nil
}

func closeAll(list []net.Listener) (err error) {
	for _, l := range list {
		err = errors.Join(err, l.Close())
	}
	return err
}

// cost measures one case: a round to warm up, and then the rounds.
func (h *harness) cost(ctx context.Context, o Options, f rig.Family, s setting, k kind) (Cost, error) {
	c := Cost{Kind: k.name, Family: f.Name, Setting: s.name}
	t := traffic{frame: k.frame(f), ipv6: !f.Is4(), first: firstClient, clients: uint32(s.from)}
	packets := o.Packets
	switch {
	case k.alone:
		peer := f.Peer.AsSlice()
		t.first, t.clients = beUint32(peer[len(peer)-4:]), 1
	case k.stores:
		// The floor's flows and the program's own, one after the other: none comes twice.
		t.inTurn, t.clients = true, 1<<30
		packets = max(packets/20, 1)
	}
	if err := h.set(t); err != nil {
		return c, err
	}
	for round := range o.Rounds + 1 {
		if ctx.Err() != nil {
			return c, context.Cause(ctx)
		}
		for _, p := range []struct {
			program *ebpf.Program
			into    *Runs
		}{{h.floor.Nothing, &c.Nothing}, {h.Program(), &c.Hafast}, {k.floor(&h.floor, f), &c.Floor}} {
			each, err := h.checked(p.program, packets, k)
			if err != nil {
				return c, err
			}
			if round > 0 {
				*p.into = append(*p.into, each)
			}
		}
	}
	return c, nil
}

// checked runs packets and reports whether they went as they should. Their news finds an
// empty ring, as a daemon sees to it that it does.
func (h *harness) checked(p *ebpf.Program, packets int, k kind) (float64, error) {
	if _, _, err := h.News(); err != nil {
		return 0, err
	}
	before, err := h.Counters()
	if err != nil {
		return 0, err
	}
	verdict, each, err := h.run(p, packets)
	if err != nil {
		return 0, err
	}
	after, err := h.Counters()
	if err != nil {
		return 0, err
	}
	if verdict == rig.Aborted {
		return 0, errors.New("what was to be called was not")
	}
	if p != h.Program() {
		return float64(each.Nanoseconds()), nil
	}
	moved := rig.Moved(before, after)
	var total uint64
	for r, n := range moved {
		total += n
		if r != k.reason && !slices.Contains(k.others, r) {
			return 0, fmt.Errorf("packets went another way: %v, not %v", moved, k.reason)
		}
	}
	if total < uint64(packets) || k.others == nil && verdict != k.verdict {
		return 0, fmt.Errorf("%d packets: %v, counted %v", packets, verdict, moved)
	}
	return float64(each.Nanoseconds()), nil
}

func beUint32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
