package liveness

import (
	"encoding/hex"
	"errors"
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
		State: BFDUp, Demand: true, Multiplier: 3, My: 0x01020304, Your: 0x0ae093a7,
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
	got, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(golden.packet, got); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

// TestParseRejects is CONFORMANCE's list of discards for BFD control packets.
func TestParseRejects(t *testing.T) {
	all := make(map[Reject]bool)
	for _, r := range Rejects() {
		all[r] = true
	}
	for _, tt := range []struct {
		name string
		at   int
		set  byte
		cut  int // bytes left; 0: all
		want error
	}{
		{name: "fine", at: 0, set: 0x20},
		{name: "diagnostic is taken as it comes", at: 0, set: 0x3f},
		{name: "version 0", at: 0, set: 0x00, want: RejectVersion},
		{name: "version 2", at: 0, set: 0x40, want: RejectVersion},
		{name: "one byte short", at: 0, set: 0x20, cut: PacketLen - 1, want: RejectTruncated},
		{name: "length below 24", at: 3, set: 23, want: RejectLength},
		{name: "length beyond the payload", at: 3, set: 25, want: RejectLength},
		{name: "multiplier 0", at: 2, set: 0, want: RejectMultiplier},
		{name: "multipoint", at: 1, set: 0xc1, want: RejectMultipoint},
		{name: "authentication", at: 1, set: 0xc4, want: RejectAuth},
		{name: "my discriminator 0", at: 4, set: 0, want: RejectDiscriminator},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := golden.packet
			p.My = 0x01000000
			b := p.Append(nil)
			b[tt.at] = tt.set
			if tt.cut > 0 {
				b = b[:tt.cut]
			}
			_, err := Parse(b)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			var r Reject
			if errors.As(err, &r) {
				delete(all, r)
			}
		})
	}
	for r := range all {
		t.Errorf("no case for %q", string(r))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(golden.packet.Append(nil))
	f.Add([]byte{})
	f.Add(append(Packet{State: BFDAdminDown, Final: true, Multiplier: 255, My: 1}.Append(nil), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			var r Reject
			if !errors.As(err, &r) {
				t.Fatalf("not a reject: %v", err)
			}
			return
		}
		again := p.Append(nil)
		// The length may name more than the mandatory section; we never send that.
		want := append([]byte(nil), b[:PacketLen]...)
		want[3] = PacketLen
		if diff := cmp.Diff(want, again); diff != "" {
			t.Errorf("round trip (-want +got):\n%s", diff)
		}
	})
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
