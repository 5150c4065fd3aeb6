// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"hafast/internal/steering"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func equal(a, b Hello) string { return cmp.Diff(a, b, cmpopts.EquateComparable(netip.Addr{})) }

// sample has something in every field.
func sample() Hello {
	return Hello{
		Software: "1.2.0", Node: "haa", Boot: 0x0102030405060708, Sequence: 9, State: Drain,
		Reason: "drained by the operator", Left: 250, MAC: [6]byte{2, 0, 0, 0, 0, 10},
		Addresses: []netip.Addr{addr("10.0.0.1"), addr("fe80::1")},
		Legs:      []Leg{{From: LegKey(0x1112131415161718), Arrives: true}, {From: 0x3fffffff, Arrives: true, Forwards: true}, {From: 1}},
		Routers:   []Router{{Key: 0x51525354, Priority: 101, Standing: Leading}, {Key: 7, Standing: Following}},
		Services: []steering.Service{
			{VIP: addr("10.0.0.9"), Port: 80, Proto: steering.TCP},
			{VIP: addr("10.0.0.9"), Port: 443, Proto: steering.UDP},
			{VIP: addr("fd00::9"), Port: 443, Proto: steering.TCP},
		},
	}
}

// goldenWords are its legs and routers.
const goldenWords = `	0008                      words
	0003 0002                 legs, routers
	454a4f75                  host 0x1112131415161718: arrives
	ffffffff
	00000004
	51525354 65 03 0000       priority 101, leading
	00000007 00 01 0000       out of service, following
`

// golden is sample on the wire, field by field.
const golden = `
	68616650                  magic
	01                        version
	05 312e322e30             software
	0102030405060708          boot
	0000000000000009          sequence
	02                        drain
	02                        legs and routers follow
	02000000000a              MAC
	000000fa                  left
	03 686161                 node
	17 647261696e656420627920746865206f70657261746f72
	02                        addresses
	04 0a000001
	06 fe800000000000000000000000000001
` + goldenWords + `	0002                      IPv4 services
	0a000009 0050 06
	0a000009 01bb 11
	0001                      IPv6 services
	fd000000000000000000000000000009 01bb 06
`

// unhex reads hex digits; words that are none are comments.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for line := range strings.Lines(s) {
		for _, word := range strings.Fields(line) {
			b, err := hex.DecodeString(word)
			if err != nil {
				break
			}
			out = append(out, b...)
		}
	}
	return out
}

func encode(t testing.TB, h Hello) []byte {
	t.Helper()
	b, err := h.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	want := unhex(t, golden)
	if got := encode(t, sample()); !slices.Equal(got, want) {
		t.Errorf("encoded\n%x\nwant\n%x", got, want)
	}
	h, err := Decode(want)
	if err != nil {
		t.Fatal(err)
	}
	if d := equal(sample(), h); d != "" {
		t.Errorf("decoded (-want +got):\n%s", d)
	}
}

// former is golden as earlier releases wrote it.
func former(t testing.TB) string {
	t.Helper()
	out := golden
	for _, change := range []struct{ now, then string }{
		{"02                        legs and routers follow", "01                        answers S-BFD"},
		{goldenWords, "0002\n04 33 65 02               VRID 51, 101, active\n06 34 00 03\n"},
	} {
		if !strings.Contains(out, change.now) {
			t.Fatalf("there is no %q in the golden hello", change.now)
		}
		out = strings.Replace(out, change.now, change.then, 1)
	}
	return out
}

// TestEarlierReleases: what is not read any more is passed over, so that hosts can be
// upgraded one by one.
func TestEarlierReleases(t *testing.T) {
	h, err := Decode(unhex(t, former(t)))
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	want.Legs, want.Routers = nil, nil
	if d := equal(want, h); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	crowded := strings.Replace(former(t), "0002\n04 33 65 02", "4002\n04 33 65 02", 1)
	if _, err := Decode(unhex(t, crowded)); !errors.Is(err, RejectTruncated) {
		t.Errorf("more instances than there is room: %v", err)
	}
}

// The key is the same on all hosts, whatever the order in their configurations, and in all
// releases.
func TestRouterKey(t *testing.T) {
	vips := []netip.Addr{addr("10.0.0.9"), addr("10.0.0.8"), addr("fd00::9")}
	key := RouterKey(51, vips)
	slices.Reverse(vips)
	if got := RouterKey(51, vips); got != key || key != 0x354d2723 {
		t.Errorf("key %#x, and %#x in another order", key, got)
	}
	if RouterKey(52, vips) == key || RouterKey(51, vips[:2]) == key {
		t.Error("another virtual router has the same key")
	}
}

func TestSmallest(t *testing.T) {
	want := Hello{Boot: 1, State: Up}
	h, err := Decode(encode(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if d := equal(want, h); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// list returns n services of as many VIPs from the first on.
func list(first string, n int) []steering.Service {
	var out []steering.Service
	for vip := addr(first); len(out) < n; vip = vip.Next() {
		out = append(out, steering.Service{VIP: vip, Port: 65535, Proto: steering.UDP})
	}
	return out
}

func TestSizes(t *testing.T) {
	thousand := sample()
	thousand.Services = list("fd00::1", 1000)
	if n := len(encode(t, thousand)); n > 20_000 {
		t.Errorf("1,000 services take %d bytes", n)
	}
	full := Hello{Boot: 1, State: Up}
	full.Software = strings.Repeat("s", MaxText)
	full.Node, full.Reason = full.Software, full.Software
	full.Services = slices.Concat(list("10.0.0.1", MaxServices), list("fd00::1", MaxServices))
	for i := range MaxAddresses {
		full.Addresses = append(full.Addresses, netip.AddrFrom16([16]byte{0xfd, 15: byte(i)}))
	}
	b := encode(t, full)
	if len(b) > MaxSize {
		t.Errorf("the largest hello has %d bytes, more than %d", len(b), MaxSize)
	}
	h, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := equal(full, h); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestTruncatedAnywhere: no beginning of a hello is a hello.
func TestTruncatedAnywhere(t *testing.T) {
	b := encode(t, sample())
	for n := range b {
		want := RejectTruncated
		if n < len(magic) {
			want = RejectForeign
		}
		// The capacity ends there too, so that no read beyond the end goes unseen.
		if h, err := Decode(b[:n:n]); !errors.Is(err, want) || h.State != 0 {
			t.Errorf("%d bytes of %d: %v %v, want %v", n, len(b), h.State, err, want)
		}
	}
}

func TestDecodeRejects(t *testing.T) {
	for _, test := range []struct {
		name     string
		old, new string // in golden
		want     Reject
	}{
		{"magic", "68616650", "68616651", RejectForeign},
		{"version 0", "\n\t01  ", "\n\t00  ", RejectTruncated},
		{"boot 0", "0102030405060708", "0000000000000000", RejectValue},
		{"state 0", "02                        drain", "00", RejectValue},
		{"state 5", "02                        drain", "05", RejectValue},
		{"newline in the node", "03 686161", "03 680a61", RejectText},
		{"escape in the software", "05 312e322e30", "05 1b5b316d30", RejectText},
		{"reason not UTF-8", "17 6472", "17 ff72", RejectText},
		{"too many addresses", "02                        addresses", "41", RejectCount},
		{"more addresses than there is room", "02                        addresses", "40", RejectTruncated},
		{"family 5", "04 0a000001", "05 0a000001", RejectValue},
		{"address 0.0.0.0", "04 0a000001", "04 00000000", RejectValue},
		{"multicast address", "04 0a000001", "04 e0000012", RejectValue},
		{"mapped address", "06 fe800000000000000000000000000001", "06 00000000000000000000ffff0a000001", RejectValue},
		{"more legs than there is room", "0008                      words\n\t0003", "0015\n0010", RejectTruncated},
		{"too many legs", "0008                      words\n\t0003", "0016\n0011", RejectCount},
		{"more routers than there is room", "0008                      words\n\t0003 0002", "0084\n0003 0040", RejectTruncated},
		{"too many routers", "0008                      words\n\t0003 0002", "0206\n0003 0101", RejectCount},
		{"other words than legs and routers", "0008                      words", "0009", RejectCount},
		{"an unknown standing", "65 03 0000", "65 04 0000", RejectValue},
		{"zeros that are none", "65 03 0000", "65 03 0001", RejectValue},
		{"too many services", "0002                      IPv4", "0801", RejectCount},
		{"port 0", "0a000009 0050 06", "0a000009 0000 06", RejectValue},
		{"protocol", "0a000009 0050 06", "0a000009 0050 01", RejectValue},
		{"services out of order", "0a000009 0050 06", "0a000009 01bc 06", RejectOrder},
		{"service twice", "0a000009 0050 06", "0a000009 01bb 11", RejectOrder},
		{"mapped VIP", "fd000000000000000000000000000009", "00000000000000000000ffff0a000009", RejectValue},
		{"trailing", "fd000000000000000000000000000009 01bb 06", "fd000000000000000000000000000009 01bb 06 00", RejectTrailing},
	} {
		t.Run(test.name, func(t *testing.T) {
			bad := strings.Replace(golden, test.old, test.new, 1)
			if bad == golden {
				t.Fatal("nothing was replaced")
			}
			if _, err := Decode(unhex(t, bad)); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
	if _, err := Decode(make([]byte, MaxSize+1)); !errors.Is(err, RejectSize) {
		t.Errorf("an oversized packet: %v", err)
	}
}

func TestUnknownVersionIsNamed(t *testing.T) {
	for _, test := range []struct{ name, packet, want string }{
		{"with its software", "68616650 02 05 322e302e31 ffff", "protocol version 2 of hafast 2.0.1, this host speaks 1; run the same release of hafast on all hosts"},
		{"without", "68616650 63", "protocol version 99 of hafast, this host speaks 1; run the same release of hafast on all hosts"},
		{"unprintable", "68616650 63 01 07", "protocol version 99 of hafast, this host speaks 1; run the same release of hafast on all hosts"},
	} {
		_, err := Decode(unhex(t, test.packet))
		if !errors.Is(err, RejectVersion) || err.Error() != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestEncodeRefusesWhatIsRejected(t *testing.T) {
	for name, spoil := range map[string]func(*Hello){
		"no state":     func(h *Hello) { h.State = 0 },
		"no boot":      func(h *Hello) { h.Boot = 0 },
		"long text":    func(h *Hello) { h.Reason = strings.Repeat("x", MaxText+1) },
		"zone":         func(h *Hello) { h.Addresses[1] = h.Addresses[1].WithZone("eth0") },
		"no address":   func(h *Hello) { h.Addresses[0] = netip.Addr{} },
		"disorder":     func(h *Hello) { slices.Reverse(h.Services) },
		"IPv4 surplus": func(h *Hello) { h.Services = list("10.0.0.1", MaxServices+1) },
		"IPv6 surplus": func(h *Hello) {
			h.Services = slices.Concat(list("10.0.0.1", 1), list("fd00::1", MaxServices+1))
		},
	} {
		h := sample()
		spoil(&h)
		b, err := h.AppendBinary([]byte("before"))
		if reject := Reject(""); !errors.As(err, &reject) || string(b) != "before" {
			t.Errorf("%s: %v, %x", name, err, b)
		}
	}
}

// FuzzDecode: the error is always a Reject, and what decodes is the same when it has
// been encoded again. The bytes are too, but for what earlier releases said.
func FuzzDecode(f *testing.F) {
	f.Add(unhex(f, golden))
	f.Add(unhex(f, former(f)))
	f.Add(encode(f, Hello{Boot: 1, State: Up}))
	f.Add([]byte(magic + "\x02\x03abc"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Decode(b)
		if err != nil {
			if reject := Reject(""); !errors.As(err, &reject) || !slices.Contains(Rejects(), reject) || h.Boot != 0 {
				t.Fatalf("error is %T %v beside %+v", err, err, h)
			}
			return
		}
		again := encode(t, h)
		if len(again) > len(b) {
			t.Fatalf("%x\nis written again as\n%x", b, again)
		}
		if twice, err := Decode(again); err != nil || equal(h, twice) != "" {
			t.Fatalf("%x\nis written again as\n%x\nwhich is %+v %v, not %+v", b, again, twice, err, h)
		}
	})
}

// TestFitCanBeSent: whatever a hello holds, what Fit makes of it can be sent, and
// arrives as it is; and what could be sent already is left alone.
func TestFitCanBeSent(t *testing.T) {
	addrs := rapid.Custom(func(t *rapid.T) netip.Addr {
		return rapid.SampledFrom([]netip.Addr{
			addr("10.0.0.1"), addr("10.0.0.2"), addr("fd00::1"), addr("::ffff:10.0.0.1"), addr("fe80::1%eth0"),
			addr("ff02::1"), addr("0.0.0.0"),
			{},
		}).Draw(t, "address")
	})
	services := rapid.Custom(func(t *rapid.T) steering.Service {
		return steering.Service{
			VIP: addrs.Draw(t, "vip"), Port: rapid.Uint16().Draw(t, "port"),
			Proto: rapid.SampledFrom([]uint8{steering.TCP, steering.UDP, 1}).Draw(t, "proto"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		h := Hello{
			Software: rapid.String().Draw(t, "software"),
			Node:     string(rapid.SliceOf(rapid.Byte()).Draw(t, "node")),
			Reason:   strings.Repeat(rapid.String().Draw(t, "reason"), rapid.IntRange(1, 20).Draw(t, "times")),
			Boot:     rapid.Uint64Min(1).Draw(t, "boot"), Sequence: rapid.Uint64().Draw(t, "sequence"),
			State: State(rapid.Uint8Range(1, 4).Draw(t, "state")), Left: rapid.Uint32().Draw(t, "left"),
			Addresses: rapid.SliceOf(addrs).Draw(t, "addresses"),
			Legs: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Leg {
				return Leg{From: LegKey(rapid.Uint64().Draw(t, "boot")), Arrives: rapid.Bool().Draw(t, "arrives"), Forwards: rapid.Bool().Draw(t, "forwards")}
			}), 0, MaxLegs+3).Draw(t, "legs"),
			Routers: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Router {
				return Router{
					Key: rapid.Uint32().Draw(t, "key"), Priority: rapid.Uint8().Draw(t, "priority"),
					Standing: Standing(rapid.Uint8Range(0, uint8(standings)-1).Draw(t, "standing")),
				}
			}), 0, MaxRouters+3).Draw(t, "routers"),
			Services: rapid.SliceOf(services).Draw(t, "services"),
		}
		fit, err := Fit(h)
		if err != nil && !errors.Is(err, ErrLeftOut) {
			t.Fatal(err)
		}
		b, err := fit.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if !got.same(fit) || got.Sequence != fit.Sequence {
			t.Fatalf("sent %+v, arrived %+v", fit, got)
		}
		if again, err := Fit(got); err != nil || !again.same(got) {
			t.Fatalf("what was received does not fit: %v, %+v", err, again)
		}
	})
}

func TestFitLeavesOut(t *testing.T) {
	h := sample()
	h.Reason = "line\none\xff" + strings.Repeat("é", 200)
	h.Services = slices.Concat(list("fd00::1", 1), list("10.0.0.1", MaxServices+2), list("10.0.0.1", 1), []steering.Service{{VIP: addr("10.0.0.1")}})
	h.Addresses = nil
	for i := range MaxAddresses + 3 {
		h.Addresses = append(h.Addresses, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	fit, err := Fit(h)
	if !errors.Is(err, ErrLeftOut) {
		t.Fatal(err)
	}
	want := `left out of the hello: 3 addresses beyond 64
left out of the hello: 1 services that are no good
left out of the hello: 2 services beyond 2048 of IPv4`
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if wanted := slices.Concat(list("10.0.0.1", MaxServices), list("fd00::1", 1)); !slices.Equal(fit.Services, wanted) {
		t.Errorf("%d services are left", len(fit.Services))
	}
	if len(fit.Addresses) != MaxAddresses {
		t.Errorf("%d addresses", len(fit.Addresses))
	}
	if !strings.HasPrefix(fit.Reason, "line one?éé") || len(fit.Reason) > MaxText || len(fit.Reason) < MaxText-1 {
		t.Errorf("reason %q of %d bytes", fit.Reason, len(fit.Reason))
	}
}

func BenchmarkDecode(b *testing.B) {
	h := sample()
	h.Services = list("10.0.0.1", 1000)
	packet := encode(b, h)
	for b.Loop() {
		if _, err := Decode(packet); err != nil {
			b.Fatal(err)
		}
	}
}
