// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"net/netip"
	"testing"
	"time"
)

func TestPromotion(t *testing.T) {
	standby, old := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")
	mac, oldMAC := [6]byte{2}, [6]byte{1}
	vips := []netip.Addr{netip.MustParseAddr("10.0.0.8"), netip.MustParseAddr("10.0.0.9")}
	advert := func(at int64, src netip.Addr, priority uint8) Sighting {
		return Sighting{At: at, Advert: &Advert{Src: src, VRID: 51, Priority: priority}}
	}
	arp := func(at int64, vip netip.Addr, mac [6]byte) Sighting {
		return Sighting{At: at, Announced: vip, MAC: mac}
	}
	tests := []struct {
		name       string
		sightings  []Sighting
		done       bool
		first, all time.Duration
	}{
		{
			name:      "in order",
			sightings: []Sighting{advert(100, standby, 100), arp(130, vips[0], mac), arp(170, vips[1], mac)},
			done:      true, first: 30, all: 70,
		},
		{
			name: "repetitions do not count",
			sightings: []Sighting{
				advert(100, standby, 100), arp(130, vips[0], mac), advert(140, standby, 100),
				arp(150, vips[0], mac), arp(170, vips[1], mac), arp(190, vips[1], mac),
			},
			done: true, first: 30, all: 70,
		},
		{
			name:      "the first VIP may come last",
			sightings: []Sighting{advert(100, standby, 100), arp(130, vips[1], mac), arp(170, vips[0], mac)},
			done:      true, first: 70, all: 70,
		},
		{
			name: "the old Active's adverts and announcements do not count",
			sightings: []Sighting{
				advert(50, old, 101), arp(60, vips[0], oldMAC), arp(61, vips[1], oldMAC),
				advert(100, standby, 100), arp(130, vips[0], mac), arp(170, vips[1], mac),
			},
			done: true, first: 30, all: 70,
		},
		{
			name:      "an address of nobody's plan does not count",
			sightings: []Sighting{advert(100, standby, 100), arp(130, vips[0], mac), arp(170, old, mac)},
		},
		{
			name:      "an advert of priority 0 promotes nobody",
			sightings: []Sighting{advert(100, standby, 0), arp(130, vips[0], mac), arp(170, vips[1], mac)},
		},
		{name: "without an advert", sightings: []Sighting{arp(130, vips[0], mac), arp(170, vips[1], mac)}},
		{name: "with a VIP missing", sightings: []Sighting{advert(100, standby, 100), arp(130, vips[0], mac)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPromotion(standby, mac, vips)
			for _, s := range tt.sightings {
				p.see(s)
			}
			if p.done() != tt.done {
				t.Fatalf("done: %t", p.done())
			}
			if tt.done && (p.toFirst() != tt.first || p.toAll() != tt.all) {
				t.Errorf("first after %d, all after %d; want %d and %d", p.toFirst(), p.toAll(), tt.first, tt.all)
			}
		})
	}
}

func TestVigil(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	advert := func(at int64, src netip.Addr, vrid uint8) Sighting {
		return Sighting{At: at, Advert: &Advert{Src: src, VRID: vrid, Priority: 100}}
	}
	tests := []struct {
		name      string
		sightings []Sighting
		changes   int
		gap       time.Duration
	}{
		{"steady", []Sighting{advert(0, a, 1), advert(10, a, 1), advert(22, a, 1)}, 0, 12},
		{"virtual routers are looked at one by one", []Sighting{advert(0, a, 1), advert(5, b, 2), advert(10, a, 1), advert(15, b, 2)}, 0, 10},
		{"there and back is twice", []Sighting{advert(0, a, 1), advert(10, b, 1), advert(20, a, 1)}, 2, 10},
		{"announcements are no adverts", []Sighting{advert(0, a, 1), {At: 5, Announced: b}, advert(10, a, 1)}, 0, 10},
		{"nothing", nil, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v vigil
			for _, s := range tt.sightings {
				v.see(s)
			}
			if v.changes != tt.changes || v.longestGap != tt.gap {
				t.Errorf("%d changes, longest gap %d; want %d and %d", v.changes, v.longestGap, tt.changes, tt.gap)
			}
		})
	}
}
