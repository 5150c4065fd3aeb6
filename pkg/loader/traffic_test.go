// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"net/netip"
	"slices"
	"testing"
)

// TestTraffic: by service, target and class; services with large numbers together.
func TestTraffic(t *testing.T) {
	lab(t)
	d := open(t, "")
	steerTo(t, d, 1)
	if err := d.SetSelf(4); err != nil {
		t.Fatal(err)
	}
	vip := netip.MustParseAddr("192.0.2.1")
	table := func(place uint8) []uint8 { return slices.Repeat([]uint8{place}, TableSize) }
	steering := Steering{
		Services: []Service{
			{VIP: vip, Port: 53, Proto: UDP, Set: 0, ID: TrafficServices - 1},
			{VIP: vip, Port: 54, Proto: UDP, Set: 1, ID: 0},
			{VIP: vip, Port: 55, Proto: UDP, Set: 0, ID: TrafficServices},
			{VIP: vip, Port: 56, Proto: UDP, Set: 0, ID: 65535},
			{VIP: vip, Port: 57, Proto: UDP, Set: NoSet, ID: 7},
		},
		Tables: [][]uint8{table(1), table(4)},
	}
	err := d.SetTarget(Target{Place: 4, Addr: netip.MustParseAddr("192.0.2.104"), Flags: TargetLocal | TargetNew | TargetOld})
	if err == nil {
		err = d.Publish(steering)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Traffic(); len(got) != 0 || err != nil {
		t.Errorf("before any packet: %v, %v", got, err)
	}
	frame := udp4Frame("198.51.100.7:5", "192.0.2.1:53")
	for port, packets := range map[byte]int{53: 3, 54: 2, 55: 1, 56: 1, 57: 1, 58: 1} {
		frame[14+20+3] = port
		for range packets {
			if _, _, err := d.Program().Test(frame); err != nil {
				t.Fatal(err)
			}
		}
	}
	size := uint64(len(frame))
	want := []ServiceTraffic{
		{Service: 0, Class: TrafficLocal, Place: 4, Packets: 2, Bytes: 2 * size},
		{Service: 7, Class: TrafficNobody, Packets: 1, Bytes: size},
		{Service: TrafficServices - 1, Class: TrafficPeer, Place: 1, Packets: 3, Bytes: 3 * size},
		{Service: OtherServices, Class: TrafficPeer, Place: 1, Packets: 2, Bytes: 2 * size},
	}
	if got, err := d.Traffic(); !slices.Equal(got, want) || err != nil {
		t.Errorf("got\n%+v, %v, want\n%+v", got, err, want)
	}
}
