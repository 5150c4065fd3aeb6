// SPDX-License-Identifier: Apache-2.0

package vrrp_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hafast/pkg/vrrp"
)

var (
	ours   = netip.MustParseAddr("10.0.0.5")
	lower  = netip.MustParseAddr("10.0.0.4")
	higher = netip.MustParseAddr("10.0.0.200") // above 127: signed bytes would sort it below
	vip    = netip.MustParseAddr("10.0.0.100")
)

const second = time.Second

// rig is one virtual router on a table, stepped by hand.
type rig struct {
	t      *testing.T
	now    time.Time
	router *vrrp.Router
	params vrrp.Params
	src    netip.Addr
}

// newRig returns a started Backup with priority 100, in version 3 with one
// advert a second, unless change says otherwise.
func newRig(t *testing.T, change func(*vrrp.Params)) *rig {
	t.Helper()
	p := vrrp.Params{
		Version: 3, VRID: 51, Priority: 100, Interval: second, Preempt: true, Addresses: []netip.Addr{vip},
	}
	if change != nil {
		change(&p)
	}
	src := ours
	if p.Addresses[0].Is6() {
		src = netip.MustParseAddr("fe80::5")
	}
	router, err := vrrp.NewRouter([]vrrp.Instance{{Name: "VI_1", Interface: "eth0", Params: p}})
	if err != nil {
		t.Fatal(err)
	}
	b := &rig{t: t, now: epoch, router: router, params: p, src: src}
	b.step(vrrp.SetSource{Addr: src})
	b.step(vrrp.Start{})
	return b
}

func (b *rig) step(ev vrrp.Event) []vrrp.Action {
	return actions(b.router.Step(b.now, "VI_1", ev))
}

func actions(out []vrrp.Output) []vrrp.Action {
	var all []vrrp.Action
	for _, o := range out {
		all = append(all, o.Action)
	}
	return all
}

// in is how long the running timer has to go.
func (b *rig) in() time.Duration {
	b.t.Helper()
	at, ok := b.router.Deadline()
	if !ok {
		b.t.Fatal("no timer runs")
	}
	return at.Sub(b.now)
}

// fire lets the running timer run out.
func (b *rig) fire() []vrrp.Action {
	b.t.Helper()
	b.now = b.now.Add(b.in())
	return actions(b.router.Tick(b.now))
}

// packet is another router's advert, unlike our own in what change says.
func (b *rig) packet(from netip.Addr, priority uint8, change func(*vrrp.Advert)) vrrp.Packet {
	b.t.Helper()
	a := b.params.Advert(priority)
	a.Addresses = slices.Clone(a.Addresses)
	if change != nil {
		change(&a)
	}
	dst := vrrp.Group4()
	if from.Is6() {
		dst = vrrp.Group6()
	}
	payload, err := a.AppendBinary(nil, from, dst, vrrp.ChecksumLegacy)
	if err != nil {
		b.t.Fatal(err)
	}
	return vrrp.Packet{Src: from, Dst: dst, TTL: vrrp.TTL, Payload: payload}
}

func (b *rig) receive(p vrrp.Packet) []vrrp.Action {
	b.t.Helper()
	_, out, err := b.router.Receive(b.now, "eth0", p)
	if err != nil {
		b.t.Fatalf("receive: %v", err)
	}
	return actions(out)
}

// hear is receive of a well-formed advert.
func (b *rig) hear(from netip.Addr, priority uint8) []vrrp.Action {
	b.t.Helper()
	return b.receive(b.packet(from, priority, nil))
}

func (b *rig) wantState(want vrrp.State) {
	b.t.Helper()
	if got := b.router.State("VI_1"); got != want {
		b.t.Fatalf("state is %s, want %s", got, want)
	}
}

func (b *rig) wantTimer(want time.Duration) {
	b.t.Helper()
	if got := b.in(); got != want {
		b.t.Fatalf("timer runs out in %s, want %s", got, want)
	}
}

// want compares actions; when a timer was due is for other tests.
func want(t *testing.T, got []vrrp.Action, want ...vrrp.Action) {
	t.Helper()
	opts := []cmp.Option{cmpopts.EquateComparable(netip.Addr{}), cmpopts.IgnoreFields(vrrp.Changed{}, "Due"), cmpopts.EquateEmpty()}
	if d := cmp.Diff(want, got, opts...); d != "" {
		t.Fatalf("actions (-want +got):\n%s", d)
	}
}

func (b *rig) becomeActive() {
	b.t.Helper()
	b.fire()
	b.wantState(vrrp.Active)
}

func skew(priority int, interval time.Duration) time.Duration {
	return time.Duration(256-priority) * interval / 256
}

// resum repairs the checksum after a change to the message. It is written apart
// from the code under test.
func resum(p vrrp.Packet) {
	msg := p.Payload
	msg[6], msg[7] = 0, 0
	covered := msg
	if p.Src.Is6() {
		pseudo := slices.Concat(p.Src.AsSlice(), p.Dst.AsSlice())
		pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(msg)))
		covered = slices.Concat(pseudo, []byte{0, 0, 0, 112}, msg)
	}
	binary.BigEndian.PutUint16(msg[6:], onesComplement(covered))
}

func onesComplement(b []byte) uint16 {
	var sum uint64
	for i, c := range b {
		if i%2 == 0 {
			sum += uint64(c) << 8
		} else {
			sum += uint64(c)
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func v2(p *vrrp.Params) { p.Version = 2 }

func v6(p *vrrp.Params) {
	p.Addresses = []netip.Addr{netip.MustParseAddr("fe80::100"), netip.MustParseAddr("2001:db8::100")}
}
