// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"net/netip"
	"time"
)

// promotion follows the takeover of one instance by a new Active.
type promotion struct {
	// by is the new Active's own address, mac its hardware address.
	by  netip.Addr
	mac [6]byte
	// first is the VIP whose announcement is t1.
	first netip.Addr
	// missing are the VIPs that have not been announced.
	missing map[netip.Addr]bool
	// advert, firstARP and lastARP are t0, t1 and t2; 0 until seen.
	advert, firstARP, lastARP int64
}

func newPromotion(by netip.Addr, mac [6]byte, vips []netip.Addr) *promotion {
	p := &promotion{by: by, mac: mac, first: vips[0], missing: make(map[netip.Addr]bool)}
	for _, v := range vips {
		p.missing[v] = true
	}
	return p
}

// see takes the next sighting. Announcements by others, such as the old
// Active, and those that come again do not count.
func (p *promotion) see(s Sighting) {
	switch {
	case s.Advert != nil:
		if p.advert == 0 && s.Advert.Src == p.by && s.Advert.Priority > 0 {
			p.advert = s.At
		}
	case s.MAC == p.mac && p.missing[s.Announced]:
		delete(p.missing, s.Announced)
		if s.Announced == p.first {
			p.firstARP = s.At
		}
		p.lastARP = max(p.lastARP, s.At)
	}
}

// done reports whether t0, t1 and t2 are known.
func (p *promotion) done() bool { return p.advert != 0 && len(p.missing) == 0 }

// toFirst is t1-t0, toAll t2-t0. They are negative for a daemon that announces
// before it advertises.
func (p *promotion) toFirst() time.Duration { return time.Duration(p.firstARP - p.advert) }
func (p *promotion) toAll() time.Duration   { return time.Duration(p.lastARP - p.advert) }

// vigil watches virtual routers that nothing should happen to.
type vigil struct {
	last map[uint8]Sighting
	// changes counts the adverts that came from another host than the ones before.
	changes int
	// longestGap is the longest pause between two adverts of a virtual router.
	longestGap time.Duration
	adverts    int
}

func (v *vigil) see(s Sighting) {
	if s.Advert == nil {
		return
	}
	v.adverts++
	if v.last == nil {
		v.last = make(map[uint8]Sighting)
	}
	if before, ok := v.last[s.Advert.VRID]; ok {
		v.longestGap = max(v.longestGap, time.Duration(s.At-before.At))
		if before.Advert.Src != s.Advert.Src {
			v.changes++
		}
	}
	v.last[s.Advert.VRID] = s
}
