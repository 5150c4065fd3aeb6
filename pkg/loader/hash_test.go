// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"

	"pgregory.net/rapid"

	"hafast/internal/link/nstest"
)

//go:generate go tool bpf2go -go-package loader -target bpfel -cc clang -cflags "-O2 -g -Wall -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu" -no-global-types hash testdata/hash.bpf.c -- -I../../bpf

// TestHashesEqualTheProgram runs the C functions in the kernel on the same input.
func TestHashesEqualTheProgram(t *testing.T) {
	nstest.Enter(t)
	var objects hashObjects
	if err := loadHashObjects(&objects, nil); err != nil {
		t.Fatal(err)
	}
	defer objects.Close()

	rapid.Check(t, func(t *rapid.T) {
		address := rapid.OneOf(
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 4, 4), func(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) netip.Addr {
				b[0] |= 0x20 // never IPv4 in disguise
				return netip.AddrFrom16([16]byte(b))
			}),
		)
		vip := address.Draw(t, "vip")
		client := address.Filter(func(a netip.Addr) bool { return a.Is4() == vip.Is4() }).Draw(t, "client")
		from := netip.AddrPortFrom(client, rapid.Uint16().Draw(t, "client port"))
		to := netip.AddrPortFrom(vip, rapid.Uint16().Draw(t, "vip port"))
		proto := rapid.Uint8().Draw(t, "proto")

		question := make([]byte, 56)
		copy(question, client.AsSlice())
		copy(question[16:], vip.AsSlice())
		binary.BigEndian.PutUint16(question[32:], from.Port())
		binary.BigEndian.PutUint16(question[34:], to.Port())
		question[36] = proto
		if vip.Is6() {
			question[37] = 1
		}
		verdict, answer, err := objects.Hashes.Test(question)
		if err != nil || verdict != 2 {
			t.Fatalf("verdict %d, %v", verdict, err)
		}
		for _, h := range []struct {
			name string
			at   int
			got  uint32
		}{
			{"AddressHash", 40, AddressHash(vip)},
			{"ServiceHash", 44, ServiceHash(vip, to.Port(), proto)},
			{"FlowHash", 48, FlowHash(from, to)},
			{"TableSlot", 52, uint32(TableSlot(FlowHash(from, to)))},
		} {
			if want := binary.LittleEndian.Uint32(answer[h.at:]); h.got != want {
				t.Errorf("%s is %#x, the program's is %#x", h.name, h.got, want)
			}
		}
	})
}

// TestMappedAddressesHashAsIPv4 since callers may have an address in either form.
func TestMappedAddressesHashAsIPv4(t *testing.T) {
	four, mapped := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1")
	if AddressHash(four) != AddressHash(mapped) || ServiceHash(four, 80, TCP) != ServiceHash(mapped, 80, TCP) {
		t.Error("the same address has two hashes")
	}
	if addressKey(four) != addressKey(mapped) {
		t.Error("the same address has two keys")
	}
}

func TestHashesStayInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := rapid.Uint32().Draw(t, "hash")
		if slot := TableSlot(h); slot < 0 || slot >= TableSize {
			t.Errorf("slot %d", slot)
		}
		a := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, h)))
		if bit := AddressHash(a); bit >= 65536 {
			t.Errorf("bit %d", bit)
		}
	})
}

func readHeader(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../bpf/abi.h")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
