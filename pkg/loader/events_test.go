// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
)

// send runs a datagram of a client through the program.
func send(t testing.TB, d *DataPath, client string) {
	t.Helper()
	if _, _, err := d.Program().Test(udp4Frame(client, "192.0.2.1:53")); err != nil {
		t.Fatal(err)
	}
}

// told reads all events.
func told(t testing.TB, d *DataPath) (list []FlowEvent, lost uint64) {
	t.Helper()
	into := make([]FlowEvent, 7)
	for {
		n, some, err := d.FlowEvents(into)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, into[:n]...)
		if lost += some; n == 0 {
			return list, lost
		}
	}
}

func TestEventsOnlyWhileSomebodyListens(t *testing.T) {
	lab(t)
	d := open(t, "")
	steerTo(t, d, 1)
	send(t, d, "198.51.100.7:1")
	d.ListenFlows(true)
	send(t, d, "198.51.100.7:2")
	send(t, d, "198.51.100.7:3")
	d.ListenFlows(false)
	send(t, d, "198.51.100.7:4")
	got, lost := told(t, d)
	event := func(client string) FlowEvent {
		return FlowEvent{Kind: FlowCreated, Flow: Flow{
			Proto: UDP, Client: netip.MustParseAddrPort(client), VIP: netip.MustParseAddrPort("192.0.2.1:53"), Place: 1,
		}}
	}
	want := []FlowEvent{event("198.51.100.7:2"), event("198.51.100.7:3")}
	if !slices.Equal(got, want) || lost != 0 {
		t.Errorf("%v and %d lost, want %v", got, lost, want)
	}
}

// TestEventsThatFindNoRoom: what does not fit is counted, once, and later ones fit again.
func TestEventsThatFindNoRoom(t *testing.T) {
	lab(t)
	page := os.Getpagesize()
	d := openWith(t, Options{Flows: MinFlows, EventBytes: page})
	steerTo(t, d, 1)
	d.ListenFlows(true)
	const many = 300
	frame := udp4Frame("198.51.100.7:1", "192.0.2.1:53")
	for i := range uint16(many) {
		binary.BigEndian.PutUint16(frame[34:], i+1)
		if _, _, err := d.Program().Test(frame); err != nil {
			t.Fatal(err)
		}
	}
	got, lost := told(t, d)
	if len(got)+int(lost) != many || lost == 0 || len(got) < page/64 {
		t.Errorf("%d told and %d lost of %d", len(got), lost, many)
	}
	for i, e := range got {
		if want := uint16(i + 1); e.Flow.Client.Port() != want {
			t.Fatalf("event %d is of port %d, not %d", i, e.Flow.Client.Port(), want)
		}
	}
	send(t, d, "198.51.100.8:1")
	if got, lost := told(t, d); len(got) != 1 || lost != 0 {
		t.Errorf("after that %d told and %d lost, want 1 and 0", len(got), lost)
	}
}

func TestEventsAreReadWithoutAllocating(t *testing.T) {
	lab(t)
	d := open(t, "")
	steerTo(t, d, 1)
	d.ListenFlows(true)
	const runs = 20
	for port := range uint16(runs + 1) {
		send(t, d, netip.AddrPortFrom(netip.MustParseAddr("198.51.100.9"), port+1).String())
	}
	into := make([]FlowEvent, 1)
	n := testing.AllocsPerRun(runs, func() {
		if n, _, err := d.FlowEvents(into); n != 1 || err != nil {
			t.Errorf("%d events, %v", n, err)
		}
	})
	empty := testing.AllocsPerRun(runs, func() {
		if n, _, err := d.FlowEvents(into); n != 0 || err != nil {
			t.Errorf("%d events, %v", n, err)
		}
	})
	if n != 0 || empty != 0 {
		t.Errorf("%v allocations with an event, %v without", n, empty)
	}
}

// TestSuccessorHearsItsOwnProgram: events are of one process; what a predecessor was
// told, or was not, is no business of the next.
func TestSuccessorHearsItsOwnProgram(t *testing.T) {
	dir := lab(t)
	d := open(t, dir)
	steerTo(t, d, 1)
	d.ListenFlows(true)
	send(t, d, "198.51.100.7:1")
	closePath(t, d)
	if _, _, err := d.FlowEvents(make([]FlowEvent, 1)); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}

	d = open(t, dir)
	send(t, d, "198.51.100.7:2")
	if got, lost := told(t, d); len(got) != 0 || lost != 0 {
		t.Errorf("%v and %d lost before anybody listens", got, lost)
	}
	d.ListenFlows(true)
	send(t, d, "198.51.100.7:3")
	if got, _ := told(t, d); len(got) != 1 || got[0].Flow.Client.Port() != 3 {
		t.Errorf("told of %v", got)
	}
	if got := len(flowsOf(t, d)); got != 3 {
		t.Errorf("%d flows, want 3", got)
	}
}
