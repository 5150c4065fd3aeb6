// SPDX-License-Identifier: Apache-2.0

package cost

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// Flood is what packets of ever new clients have done to the flow table.
type Flood struct {
	Family  string `json:"family"`
	Segment string `json:"segment"` // SYN or ACK
	// Unread: nobody reads the flow events, and most find the ring full.
	Unread   bool `json:"unread"`
	Capacity int  `json:"capacity"`
	Packets  int  `json:"packets"`
	// Flows in the table before, and of these how many are in it after, unchanged:
	// those that were silent meanwhile, and those of which a packet came now and then.
	Silent     int `json:"silent"`
	SilentKept int `json:"silent_kept"`
	Busy       int `json:"busy"`
	BusyKept   int `json:"busy_kept"`
	// Each packet of the flood took so many nanoseconds, measuring included.
	EachNs float64 `json:"each_ns"`
}

const (
	floodBusy  = 1000    // flows of which packets come between those of the flood
	floodEvery = 10000   // packets of the flood between two of each busy flow
	floodFirst = 1 << 25 // the flood's clients are so far behind those of flows
)

// floods fills a table, to the brim for ACKs, and lets n packets loose on it.
func floods(ctx context.Context, capacity, n int) (list []Flood, err error) {
	h, err := newHarness(capacity)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := h.Close(); err == nil {
			err = e
		}
	}()
	for _, f := range rig.Families() {
		for _, kind := range []struct {
			name   string
			flags  frames.Flags
			flows  int
			unread bool
		}{{"SYN", frames.SYN, capacity / 2, false}, {"ACK", frames.ACK, capacity, false}, {"ACK", frames.ACK, capacity, true}} {
			result, err := h.flood(ctx, f, kind.flags, kind.flows, n, kind.unread)
			if err != nil {
				return nil, fmt.Errorf("flood of %ss, %s: %w", kind.name, f.Name, err)
			}
			result.Segment, result.Capacity = kind.name, capacity
			list = append(list, result)
		}
	}
	return list, nil
}

// flood fills the table with so many flows to the peer, and counts those that are left
// after n packets from other clients.
func (h *harness) flood(ctx context.Context, f rig.Family, flags frames.Flags, established, n int, unread bool) (r Flood, err error) {
	r = Flood{Family: f.Name, Packets: n, Unread: unread}
	// The busy ones come last and have had a packet: no flow is both old and busy.
	all := flows(f, established, rig.Peer)
	slices.Reverse(all)
	if err := h.refill(f, 0, rig.Peer, false); err != nil {
		return r, err
	}
	if err := h.PutFlows(all); err != nil {
		return r, err
	}
	if _, _, err := h.News(); err != nil { // of the flood before
		return r, err
	}
	if err := h.keepBusy(f); err != nil {
		return r, err
	}
	if r.Silent, r.Busy, err = h.kept(f); err != nil {
		return r, err
	}
	var spent time.Duration
	for sent := 0; sent < n; {
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		some := min(floodEvery, n-sent)
		attack := traffic{
			frame: f.ToVIP(portThere).TCP(flags), ipv6: !f.Is4(), inTurn: true,
			first: uint32(firstClient + floodFirst + sent), clients: uint32(some),
		}
		if err := h.set(attack); err != nil {
			return r, err
		}
		_, each, err := h.run(h.Program(), some)
		if err != nil {
			return r, err
		}
		spent += each * time.Duration(some)
		sent += some
		if !unread {
			if _, _, err := h.News(); err != nil {
				return r, err
			}
		}
		if err := h.keepBusy(f); err != nil {
			return r, err
		}
	}
	r.EachNs = float64(spent.Nanoseconds()) / float64(n)
	r.SilentKept, r.BusyKept, err = h.kept(f)
	return r, err
}

// keepBusy sends a packet of each busy flow.
func (h *harness) keepBusy(f rig.Family) error {
	err := h.set(traffic{
		frame: f.ToVIP(portKnown).TCP(frames.ACK), ipv6: !f.Is4(), inTurn: true, first: firstClient, clients: floodBusy,
	})
	if err != nil {
		return err
	}
	_, _, err = h.run(h.Program(), floodBusy)
	return err
}

// kept counts the flows that are still the peer's. One that was pushed out and came
// back by second chance is not: its table says otherwise.
func (h *harness) kept(f rig.Family) (silent, busy int, err error) {
	first := client(f, floodBusy)
	for flow, err := range h.Flows() {
		if err != nil {
			return 0, 0, err
		}
		if flow.Place != rig.Peer || flow.VIP.Port() != portKnown || flow.Proto != loader.TCP {
			continue
		}
		if flow.Client.Addr().Less(first) {
			busy++
		} else {
			silent++
		}
	}
	return silent, busy, nil
}
