// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// unhex reads hex digits with comments behind #.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The numbers below are little-endian, as on the machines that run the tests.
const (
	golden4 = `
		02 0a 00 00        # AF_INET, LISTEN, no timer
		0050 0000          # ports, big-endian
		0a000009 000000000000000000000000 # local address
		00000000 000000000000000000000000 # remote
		00000000           # interface
		efcdab89 67452301  # cookie
		00000000 00000000 00000000 # expiry, queues
		00000000           # uid
		39300000           # inode
		0500 0800 00 000000 # INET_DIAG_SHUTDOWN
	`
	golden6 = `
		0a 0a 00 00        # AF_INET6, LISTEN
		01bb 0000
		00000000000000000000000000000000 # [::]
		00000000000000000000000000000000
		00000000
		01000000 00000000
		00000000 00000000 00000000 00000000
		07000000
		0500 0800 00 000000 # INET_DIAG_SHUTDOWN
		0500 0b00 01 000000 # INET_DIAG_SKV6ONLY
	`
)

func TestParseRecord(t *testing.T) {
	if nl.NativeEndian().Uint16([]byte{1, 0}) != 1 {
		t.Skip("the examples are little-endian")
	}
	dual := func(hex string) string { return strings.Replace(hex, "0b00 01", "0b00 00", 1) }
	for _, test := range []struct {
		name, hex string
		want      record
	}{
		{"IPv4", golden4, record{local: netip.MustParseAddrPort("10.0.0.9:80"), inode: 12345, cookie: 0x0123456789abcdef}},
		{"IPv6 alone", golden6, record{local: netip.MustParseAddrPort("[::]:443"), inode: 7, cookie: 1}},
		{"both families", dual(golden6), record{local: netip.MustParseAddrPort("[::]:443"), dual: true, inode: 7, cookie: 1}},
		{
			"mapped", strings.Replace(golden6, "00000000000000000000000000000000 # [::]", "00000000000000000000ffff0a000009", 1),
			record{local: netip.MustParseAddrPort("10.0.0.9:443"), inode: 7, cookie: 1},
		},
		{
			"minimal", strings.Replace(golden4, "02 0a 00", "02 05 03", 1),
			record{local: netip.MustParseAddrPort("10.0.0.9:80"), minimal: true, inode: 12345, cookie: 0x0123456789abcdef},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := unhex(t, test.hex)
			got, ok := parseRecord(b)
			if !ok || got != test.want {
				t.Errorf("%+v, %t; want %+v", got, ok, test.want)
			}
			for n := range sizeofMsg {
				if _, ok := parseRecord(b[:n]); ok {
					t.Errorf("parsed of %d bytes", n)
				}
			}
		})
	}
	if _, ok := parseRecord(unhex(t, strings.Replace(golden4, "02 0a", "01 0a", 1))); ok {
		t.Error("a unix socket is parsed")
	}
}

func TestRequestSize(t *testing.T) {
	// struct inet_diag_req_v2 is 56 bytes, struct inet_diag_msg 72, everywhere.
	if n := len(appendRequest(nil, unix.AF_INET, unix.IPPROTO_TCP, listening)); n != 56 {
		t.Errorf("request of %d bytes", n)
	}
	if _, ok := parseRecord(append([]byte{unix.AF_INET}, make([]byte, 71)...)); !ok {
		t.Error("an answer of 72 bytes is not parsed")
	}
}

// FuzzDecode reads datagrams beside other parsers of the same format: what they take
// whole, ours must take alike.
func FuzzDecode(f *testing.F) {
	for _, golden := range []string{golden4, golden6} {
		data := unhex(f, golden)
		header := unhex(f, "00000000 1400 0200 01000000 00000000")
		header[0] = byte(len(header) + len(data))
		f.Add(append(header, data...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := slices.Collect(nlmsg.Messages(b))
		if want, err := syscall.ParseNetlinkMessage(b); err == nil {
			if len(got) != len(want) {
				t.Fatalf("%d messages, want %d", len(got), len(want))
			}
			for i, m := range want {
				if got[i].Type != m.Header.Type || got[i].Seq != m.Header.Seq || string(got[i].Data) != string(m.Data) {
					t.Errorf("message %d is %+v, want %+v", i, got[i], m)
				}
			}
		}
		for _, m := range got {
			_ = m.Errno()
			r, ok := parseRecord(m.Data)
			if !ok {
				continue
			}
			addr := r.local.Addr()
			if !addr.IsValid() || addr.Is4In6() || addr.Zone() != "" || r.dual && addr.Is4() {
				t.Errorf("record %+v", r)
			}
			attrs(t, m.Data[sizeofMsg:])
		}
	})
}

// attrs compares the walks over attributes; the other one panics where the last is
// not padded.
func attrs(t *testing.T, b []byte) {
	if len(b)%unix.NLMSG_ALIGNTO != 0 {
		return
	}
	want, err := nl.ParseRouteAttr(b)
	if err != nil {
		return
	}
	i := 0
	for typ, value := range nlmsg.Attrs(b) {
		if i < len(want) && (typ != want[i].Attr.Type&nl.NLA_TYPE_MASK || string(value) != string(want[i].Value)) {
			t.Errorf("attribute %d is %d %x, want %+v", i, typ, value, want[i])
		}
		i++
	}
	if i != len(want) {
		t.Errorf("%d attributes, want %d", i, len(want))
	}
}
