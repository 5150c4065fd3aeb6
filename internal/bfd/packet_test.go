// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// golden is a probe and what it looks like on the wire.
var golden = struct {
	packet Packet
	hex    string
}{
	Packet{
		State: WireUp, Demand: true, Multiplier: 3, My: 0x01020304, Your: 0x0ae093a7,
		DesiredMinTx: 2 * time.Millisecond,
	},
	"20" + // version 1, no diagnostic
		"c2" + // up, D
		"03" + // detect multiplier
		"18" + // length 24
		"01020304" + // my discriminator: the sequence
		"0ae093a7" + // your discriminator: 10.224.147.167
		"000007d0" + // desired min TX 2000 us
		"00000000" + // required min RX
		"00000000", // required min echo RX
}

func TestPacketGolden(t *testing.T) {
	if got := hex.EncodeToString(golden.packet.Append(nil)); got != golden.hex {
		t.Errorf("encoded\n got %s\nwant %s", got, golden.hex)
	}
	b, err := hex.DecodeString(golden.hex)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(golden.packet, got); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

// parse reads a control packet from a UDP payload, as the program does (bpf/sbfd.h).
func parse(b []byte) (Packet, error) {
	const auth, multipoint = 0x04, 0x01
	if len(b) < PacketLen || b[0]>>5 != version || b[3] != PacketLen || b[1]&(auth|multipoint) != 0 {
		return Packet{}, fmt.Errorf("no control packet: %x", b)
	}
	flag := func(bit byte) bool { return b[1]&bit != 0 }
	number := func(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	interval := func(at int) time.Duration { return time.Duration(number(at)) * time.Microsecond }
	return Packet{
		Diagnostic: b[0] & 0x1f, State: WireState(b[1] >> 6),
		Poll: flag(flagPoll), Final: flag(flagFinal), Independent: flag(flagIndependent), Demand: flag(flagDemand),
		Multiplier: b[2], My: number(4), Your: number(8),
		DesiredMinTx: interval(12), RequiredMinRx: interval(16), RequiredMinEchoRx: interval(20),
	}, nil
}

func TestDiscriminator(t *testing.T) {
	for _, tt := range []struct {
		addr string
		want uint32
	}{
		{"10.224.147.167", 0x0ae093a7},
		{"::ffff:10.224.147.167", 0x0ae093a7},
		{"0.0.0.0", 1},
		{"255.255.255.255", 0xffffffff},
		// FNV-1a by hand: 16 zero bytes multiply the offset basis by the prime 16 times.
		{"::", fnvZeros(16)},
		{"::1", (fnvZeros(15) ^ 1) * 16777619},
		{"fe80::1%eth0", Discriminator(netip.MustParseAddr("fe80::1"))},
	} {
		if got := Discriminator(netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("%s: got %#x, want %#x", tt.addr, got, tt.want)
		}
	}
}

func fnvZeros(n int) uint32 {
	h := uint32(2166136261)
	for range n {
		h *= 16777619
	}
	return h
}
