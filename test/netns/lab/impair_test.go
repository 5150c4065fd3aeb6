// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"
)

func TestFate(t *testing.T) {
	const n = 100_000
	i := Impairment{Loss: 0.1, Late: 0.2, Delay: 5 * time.Millisecond}
	random := rand.New(rand.NewPCG(1, 2))
	var lost, late float64
	for range n {
		drop, hold := i.fate(random)
		switch {
		case drop:
			lost++
		case hold > 0:
			late++
		}
		if hold < 0 || hold > i.Delay || drop && hold > 0 {
			t.Fatalf("dropped %v, held back for %v", drop, hold)
		}
	}
	if math.Abs(lost/n-i.Loss) > 0.01 || math.Abs(late/n-i.Late) > 0.01 {
		t.Errorf("%.3f lost, %.3f late", lost/n, late/n)
	}
	for range n {
		if drop, hold := (Impairment{}).fate(random); drop || hold > 0 {
			t.Fatal("a link without impairment lost something, or was late")
		}
	}
}

// TestImpair sends numbered datagrams over the sync link.
func TestImpair(t *testing.T) {
	tests := []struct {
		name                 string
		impairment           Impairment
		loses, changesOrders bool
	}{
		{"clean", Impairment{}, false, false},
		{"lossy", Impairment{Loss: 0.3, Seed: 1}, true, false},
		{"late", Impairment{Late: 0.3, Delay: 5 * time.Millisecond, Seed: 1}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := RoutersForTest(t)
			if err := r.Impair(tt.impairment); err != nil {
				t.Fatal(err)
			}
			arrived := sendNumbers(t, r, 100, searchPatience)
			disordered := !slices.IsSorted(arrived)
			if lost := len(arrived) < 100; lost != tt.loses || disordered != tt.changesOrders {
				t.Errorf("%d of 100 arrived: %v", len(arrived), arrived)
			}
		})
	}
}

// TestTheDeadAreCutOff has a host die whose sync link is not on the switch.
func TestTheDeadAreCutOff(t *testing.T) {
	r := RoutersForTest(t)
	if err := r.Impair(Impairment{}); err != nil {
		t.Fatal(err)
	}
	a, _ := r.Pair()
	if n := len(sendNumbers(t, r, 5, searchPatience)); n != 5 {
		t.Fatalf("%d of 5 arrived at first", n)
	}
	if err := a.SilentDeath(); err != nil {
		t.Fatal(err)
	}
	if n := len(sendNumbers(t, r, 5, time.Second)); n != 0 {
		t.Errorf("%d of 5 arrived from a dead host", n)
	}
	if err := a.Revive(); err != nil {
		t.Fatal(err)
	}
	if n := len(sendNumbers(t, r, 5, searchPatience)); n != 5 {
		t.Errorf("%d of 5 arrived when it was back", n)
	}
}

// searchPatience outlasts some lost questions for a hardware address, which are a second
// apart.
const searchPatience = 20 * time.Second

// sendNumbers sends datagrams with the numbers up to n over the sync link, and returns
// those that arrive, in their order: none if nothing has arrived at all after search.
func sendNumbers(t *testing.T, r *Routers, n byte, search time.Duration) (arrived []byte) {
	t.Helper()
	a, b := r.Pair()
	var in net.PacketConn
	if err := b.Do(func() (err error) {
		in, err = net.ListenPacket("udp4", net.JoinHostPort(b.SyncAddr().String(), "9000"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := a.Dial(t.Context(), "udp4", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	buf := make([]byte, 1)
	// The first ones look for the other's hardware address.
	const filler = 255
	for heard, end := false, time.Now().Add(search); !heard && time.Now().Before(end); heard = arrives(in, buf, 20*time.Millisecond) {
		if _, err := out.Write([]byte{filler}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if _, err := out.Write([]byte{i}); err != nil {
			t.Fatal(err)
		}
	}
	for arrives(in, buf, 500*time.Millisecond) {
		if buf[0] != filler {
			arrived = append(arrived, buf[0])
		}
	}
	return arrived
}

// arrives reports whether a datagram does, in time.
func arrives(in net.PacketConn, buf []byte, within time.Duration) bool {
	if in.SetReadDeadline(time.Now().Add(within)) != nil {
		return false
	}
	_, _, err := in.ReadFrom(buf)
	return err == nil
}
