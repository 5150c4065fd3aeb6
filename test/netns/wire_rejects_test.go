// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"hafast/internal/control"
	"hafast/test/netns/capture"
	"hafast/test/netns/lab"
)

// wireBad is a broken advert and the reason that it is counted under.
type wireBad struct {
	name, reason string
	frame        []byte
}

// testRejects sends broken adverts from the client. All of them claim a priority
// above everybody's: whoever takes one for good, stands down.
func (w *wirePair) testRejects(t *testing.T) {
	bad := w.badAdverts()
	for _, c := range bad {
		t.Run(c.name, func(t *testing.T) {
			hosts := []*lab.Host{w.a, w.b}
			var counted []map[string]float64
			var status []map[string]control.Instance
			for _, h := range hosts {
				counted = append(counted, w.rejected(t, h))
				status = append(status, w.status(t, h))
			}
			if err := w.tap.Send(c.frame); err != nil {
				t.Fatal(err)
			}
			for i, h := range hosts {
				want := maps.Clone(counted[i])
				want[c.reason]++
				var got map[string]float64
				wireEventually(t, h.Name+" to count the advert", func() bool {
					got = w.rejected(t, h)
					return !reflect.DeepEqual(got, counted[i])
				})
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s counts %v, want %v", h.Name, got, want)
				}
				if now := w.status(t, h); !reflect.DeepEqual(now, status[i]) {
					t.Errorf("%s changed from %+v to %+v", h.Name, status[i], now)
				}
			}
		})
	}
	t.Run("22 reserved bits set are accepted", func(t *testing.T) {
		w.testAccepted(t, w.advert(wireV3, func(a *capture.Advert) { a.Priority, a.Timing = 50, 0xf000|a.Timing }, nil), "V3", "")
		w.testAccepted(t, w.advert(wireV6, func(a *capture.Advert) { a.Priority, a.Timing = 50, 0xf000|a.Timing }, nil), "V6", "")
	})
	t.Run("23 v3 interval unlike ours is accepted and noted", func(t *testing.T) {
		w.testAccepted(t, w.advert(wireV3, func(a *capture.Advert) { a.Priority, a.Timing = 50, 100 }, nil), "V3", "another interval")
	})
	t.Run("23 address list unlike ours is accepted and noted", func(t *testing.T) {
		other := []netip.Addr{netip.MustParseAddr("10.224.147.250")}
		w.testAccepted(t, w.advert(wireV3, func(a *capture.Advert) { a.Priority, a.Count, a.Addresses = 50, 1, other }, nil), "V3", "other addresses")
	})
	t.Run("14-23 a flood of them holds up no timer", func(t *testing.T) { w.testFlood(t, bad) })
}

// testAccepted sends an advert of a lower priority, which the active host must take
// note of though it changes nothing.
func (w *wirePair) testAccepted(t *testing.T, frame []byte, instance, note string) {
	t.Helper()
	received := fmt.Sprintf("hafast_adverts_received_total{instance=%q}", instance)
	before, rejected, status := w.metrics(t, w.a)[received], w.rejected(t, w.a), w.status(t, w.a)
	if err := w.tap.Send(frame); err != nil {
		t.Fatal(err)
	}
	wireEventually(t, "the advert to be accepted", func() bool { return w.metrics(t, w.a)[received] == before+1 })
	if got := w.rejected(t, w.a); !reflect.DeepEqual(got, rejected) {
		t.Errorf("rejected %v, before %v", got, rejected)
	}
	if now := w.status(t, w.a); !reflect.DeepEqual(now, status) {
		t.Errorf("changed from %+v to %+v", status, now)
	}
	if note == "" {
		return
	}
	for _, e := range w.events(t, w.a) {
		if e.Kind == "note" && e.Instance == instance && strings.Contains(e.Cause, note) && strings.Contains(e.Cause, w.client.Addr.String()) {
			return
		}
	}
	t.Errorf("no event tells of %q", note)
}

// testFlood kills the active daemon under a flood of broken adverts of a high
// priority. One that touched the backup's timers would keep it from taking over.
func (w *wirePair) testFlood(t *testing.T, bad []wireBad) {
	ctx, stop := context.WithCancel(t.Context())
	flood := make(chan error, 1)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, c := range bad {
				if err := w.tap.Send(c.frame); err != nil {
					flood <- err
					return
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				flood <- nil
				return
			}
		}
	}()
	defer func() {
		stop()
		if err := <-flood; err != nil {
			t.Error(err)
		}
	}()
	start := w.rejected(t, w.b)
	wireEventually(t, "the flood to arrive", func() bool { return w.rejected(t, w.b)["count"] > start["count"]+10 })
	if got := w.fast.State(t.Context(), w.a); got != lab.StateActive {
		t.Errorf("%s is %s under the flood", w.a.Name, got)
	}
	if err := w.fast.Kill(w.a); err != nil {
		t.Fatal(err)
	}
	wireEventually(t, "the backup to take everything over", func() bool {
		return w.fast.State(t.Context(), w.b) == lab.StateActive
	})
}

// rejected counts the host's rejected adverts by reason.
func (w *wirePair) rejected(t *testing.T, h *lab.Host) map[string]float64 {
	t.Helper()
	const prefix = `hafast_adverts_rejected_total{interface="eth0",reason="`
	counts := make(map[string]float64)
	for series, value := range w.metrics(t, h) {
		if reason, ok := strings.CutPrefix(series, prefix); ok {
			counts[strings.TrimSuffix(reason, `"}`)] = value
		}
	}
	if len(counts) == 0 {
		t.Fatal("no series of rejected adverts")
	}
	return counts
}

// advert is a good advert of the client's for one of the virtual routers, at the
// highest priority, once it has been through the changes. Spoil comes after the
// checksum.
func (w *wirePair) advert(vrid uint8, change func(*capture.Advert), spoil func(*capture.IP)) []byte {
	vips := wireVIPs()[vrid]
	a := capture.Advert{
		Version: 3, Type: 1, VRID: vrid, Priority: 254, Count: uint8(len(vips)),
		Timing: uint16(wireCadence / (10 * time.Millisecond)), Addresses: vips,
	}
	if vrid == wireV2 {
		a.Version, a.Timing, a.Rest = 2, 1, make([]byte, 8)
	}
	ip := capture.IP{Src: w.client.Addr, Dst: wireGroup4, TTL: 255, Protocol: capture.VRRPProtocol}
	if vips[0].Is6() {
		ip.Src, ip.Dst = wireLinkLocal(w.client), wireGroup6
	}
	if change != nil {
		change(&a)
	}
	ip.Payload = a.Bytes()
	sum := capture.PseudoSum
	if a.Version == 2 && ip.Src.Is4() {
		sum = capture.PlainSum
	}
	a.Checksum = sum(ip)
	ip.Payload = a.Bytes()
	if spoil != nil {
		spoil(&ip)
	}
	return capture.Packet(capture.GroupMAC(ip.Dst), capture.MACOf(w.client.MAC), ip)
}

func (w *wirePair) badAdverts() []wireBad {
	global := []netip.Addr{netip.MustParseAddr("fd00:147::208"), netip.MustParseAddr("fe80::200:5eff:fe00:236")}
	type edit = func(*capture.Advert)
	type spoil = func(*capture.IP)
	cases := []struct {
		name, reason string
		vrid         uint8
		edit         edit
		spoil        spoil
	}{
		{"14 TTL 254", "ttl", wireV3, nil, func(ip *capture.IP) { ip.TTL = 254 }},
		{"14 hop limit 254", "ttl", wireV6, nil, func(ip *capture.IP) { ip.TTL = 254 }},
		{"15 version 1", "version", wireV3, func(a *capture.Advert) { a.Version = 1 }, nil},
		{"15 version 4", "version", wireV6, func(a *capture.Advert) { a.Version = 4 }, nil},
		{"15 version 2 over IPv6", "version", wireV6, func(a *capture.Advert) { a.Version = 2 }, nil},
		{"15 version 3 for a version 2 instance", "version", wireV2, func(a *capture.Advert) { a.Version, a.Timing = 3, 100 }, nil},
		{"15 version 2 for a version 3 instance", "version", wireV3, func(a *capture.Advert) { a.Version, a.Timing, a.Rest = 2, 1, make([]byte, 8) }, nil},
		{"15 type 2", "type", wireV3, func(a *capture.Advert) { a.Type = 2 }, nil},
		{"16 half a header", "truncated", wireV3, nil, func(ip *capture.IP) { ip.Payload = ip.Payload[:4] }},
		{"16 no payload", "truncated", wireV3, nil, func(ip *capture.IP) { ip.Payload = nil }},
		{"16 truncated address list", "truncated", wireV3, func(a *capture.Advert) { a.Addresses = a.Addresses[:1] }, nil},
		{"16 truncated IPv6 address list", "truncated", wireV6, func(a *capture.Advert) { a.Addresses = a.Addresses[:1] }, nil},
		{"16 v2 without authentication data", "truncated", wireV2, func(a *capture.Advert) { a.Rest = nil }, nil},
		{"17 bad checksum", "checksum", wireV3, nil, func(ip *capture.IP) { ip.Payload[6] ^= 0xff }},
		{"17 bad IPv6 checksum", "checksum", wireV6, nil, func(ip *capture.IP) { ip.Payload[6] ^= 0xff }},
		{"17 bad v2 checksum", "checksum", wireV2, nil, func(ip *capture.IP) { ip.Payload[6] ^= 0xff }},
		{"18 unknown VRID", "unknown_vrid", wireV3, func(a *capture.Advert) { a.VRID = 99 }, nil},
		{"18 VRID of the other family", "unknown_vrid", wireV3, func(a *capture.Advert) { a.VRID = wireV6 }, nil},
		{"19 count 0", "count", wireV3, func(a *capture.Advert) { a.Count, a.Addresses = 0, nil }, nil},
		{"19 IPv6 count 0", "count", wireV6, func(a *capture.Advert) { a.Count, a.Addresses = 0, nil }, nil},
		{"20 interval 0", "interval", wireV3, func(a *capture.Advert) { a.Timing = 0 }, nil},
		{"20 interval 0 beneath reserved bits", "interval", wireV3, func(a *capture.Advert) { a.Timing = 0xf000 }, nil},
		{"20 v2 interval 0", "interval", wireV2, func(a *capture.Advert) { a.Timing = 0 }, nil},
		{"21 IPv6 first address not link-local", "first_address", wireV6, func(a *capture.Advert) { a.Addresses = global }, nil},
		{"23 v2 interval unlike ours", "interval", wireV2, func(a *capture.Advert) { a.Timing = 2 }, nil},
		{"23 v2 password where we have none", "auth", wireV2, func(a *capture.Advert) { a.Timing, a.Rest = 0x0101, []byte("password") }, nil},
		{"1 unicast advert of a stranger", "peer", wireUni4, nil, nil},
	}
	var bad []wireBad
	for _, c := range cases {
		bad = append(bad, wireBad{c.name, c.reason, w.advert(c.vrid, c.edit, c.spoil)})
	}
	return bad
}
