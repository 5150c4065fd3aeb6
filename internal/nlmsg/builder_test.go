// SPDX-License-Identifier: Apache-2.0

package nlmsg_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

func TestBuilder(t *testing.T) {
	host := func(n uint32) []byte { return raw(n, 0)[:4] }
	for _, test := range []struct {
		name  string
		write func(b *nlmsg.Builder)
		want  []byte // behind the protocol's header
	}{
		{"nothing", func(*nlmsg.Builder) {}, nil},
		{"empty value", func(b *nlmsg.Builder) { b.Attr(1, nil) }, rawAttr(4, 1)},
		{"bytes", func(b *nlmsg.Builder) { b.Attr(1, []byte{1, 2, 3, 4, 5}) }, rawAttr(9, 1, 1, 2, 3, 4, 5, 0, 0, 0)},
		{"text", func(b *nlmsg.Builder) { b.Text(1, "lo") }, rawAttr(7, 1, 'l', 'o', 0, 0)},
		{"text of 4", func(b *nlmsg.Builder) { b.Text(1, "eth0") }, rawAttr(9, 1, 'e', 't', 'h', '0', 0, 0, 0, 0)},
		{"uint8", func(b *nlmsg.Builder) { b.Uint8(1, 6) }, rawAttr(5, 1, 6, 0, 0, 0)},
		{"uint16, network order", func(b *nlmsg.Builder) { b.Uint16BE(1, 0x1234) }, rawAttr(6, 1, 0x12, 0x34, 0, 0)},
		{"uint32, network order", func(b *nlmsg.Builder) { b.Uint32BE(1, 0x12345678) }, rawAttr(8, 1, 0x12, 0x34, 0x56, 0x78)},
		{"uint32, host order", func(b *nlmsg.Builder) { b.Uint32(1, 0x12345678) }, rawAttr(8, 1, host(0x12345678)...)},
		{
			"empty nest", func(b *nlmsg.Builder) { b.EndNest(b.Nest(1)) },
			rawAttr(4, 1|unix.NLA_F_NESTED),
		},
		{
			"nests", func(b *nlmsg.Builder) {
				tuple := b.Nest(1)
				ip := b.Nest(2)
				b.Attr(3, []byte{10, 0, 0, 9})
				b.EndNest(ip)
				b.Uint8(4, 17)
				b.EndNest(tuple)
				b.Uint8(5, 1)
			},
			slices.Concat(
				rawAttr(24, 1|unix.NLA_F_NESTED),
				rawAttr(12, 2|unix.NLA_F_NESTED), rawAttr(8, 3, 10, 0, 0, 9),
				rawAttr(5, 4, 17, 0, 0, 0),
				rawAttr(5, 5, 1, 0, 0, 0)),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b nlmsg.Builder
			b.Begin(300, unix.NLM_F_REQUEST, 9, unix.AF_INET, 0, 0, 0)
			test.write(&b)
			b.End()
			if b.Len() != len(b.Bytes()) {
				t.Errorf("Len is %d, of %d bytes", b.Len(), len(b.Bytes()))
			}
			got := slices.Collect(nlmsg.Messages(b.Bytes()))
			want := []nlmsg.Message{{
				Type: 300, Flags: unix.NLM_F_REQUEST, Seq: 9,
				Data: append([]byte{unix.AF_INET, 0, 0, 0}, test.want...),
			}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBuilderBatch(t *testing.T) {
	var b nlmsg.Builder
	write := func() {
		b.Begin(1, unix.NLM_F_REQUEST, 1, 2) // one byte of a header: padded
		b.Uint8(1, 3)
		b.End()
		b.Begin(2, unix.NLM_F_REQUEST, 2)
		b.AddFlags(unix.NLM_F_CREATE)
		b.End()
		b.AddFlags(unix.NLM_F_ACK)
	}
	want := []nlmsg.Message{
		{Type: 1, Flags: unix.NLM_F_REQUEST, Seq: 1, Data: slices.Concat([]byte{2, 0, 0, 0}, rawAttr(5, 1, 3, 0, 0, 0))},
		{Type: 2, Flags: unix.NLM_F_REQUEST | unix.NLM_F_CREATE | unix.NLM_F_ACK, Seq: 2, Data: []byte{}},
	}
	for _, round := range []string{"a new buffer", "the buffer again"} {
		b.Reset()
		write()
		if diff := cmp.Diff(want, slices.Collect(nlmsg.Messages(b.Bytes()))); diff != "" {
			t.Errorf("%s: %s", round, diff)
		}
	}
	b.Reset()
	if b.Len() != 0 {
		t.Errorf("%d bytes after Reset", b.Len())
	}
}

func TestBuilderRefusesWhatNoLengthReaches(t *testing.T) {
	const most = math.MaxUint16 - unix.NLA_HDRLEN
	for _, test := range []struct {
		name  string
		write func(b *nlmsg.Builder, n int) // of n bytes
	}{
		{"bytes", func(b *nlmsg.Builder, n int) { b.Attr(1, make([]byte, n)) }},
		{"text", func(b *nlmsg.Builder, n int) { b.Text(1, strings.Repeat("x", n-1)) }},
		{"nest", func(b *nlmsg.Builder, n int) {
			nest := b.Nest(1)
			for range n / 4 {
				b.Attr(1, nil)
			}
			b.EndNest(nest)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b nlmsg.Builder
			b.Begin(1, 0, 1)
			test.write(&b, most)
			b.Uint8(2, 1)
			b.End()
			for m := range nlmsg.Messages(b.Bytes()) {
				if got := attrs(m.Data); len(got) != 2 || got[1].Type != 2 {
					t.Errorf("%d attributes of the longest and one more", len(got))
				}
			}
			defer func() {
				if recover() == nil {
					t.Error("too long, and no panic")
				}
			}()
			test.write(&b, most+4)
		})
	}
}

// event writes what a conntrack event is made of: tuples in both directions, two
// levels deep, and numbers.
func event(b *nlmsg.Builder, seq uint32) {
	b.Begin(unix.NFNL_SUBSYS_CTNETLINK<<8, unix.NLM_F_REQUEST|unix.NLM_F_CREATE, seq, unix.AF_INET, 0, 0, 0)
	for direction := uint16(1); direction <= 2; direction++ {
		tuple := b.Nest(direction)
		ip := b.Nest(1)
		b.Attr(1, []byte{10, 0, 0, 1})
		b.Attr(2, []byte{10, 0, 0, 9})
		b.EndNest(ip)
		proto := b.Nest(2)
		b.Uint8(1, unix.IPPROTO_TCP)
		b.Uint16BE(2, uint16(seq))
		b.Uint16BE(3, 443)
		b.EndNest(proto)
		b.EndNest(tuple)
	}
	b.Uint32BE(3, 1)
	b.Uint32BE(7, 120)
	b.End()
}

// decode reads events with all their nests and returns how many attributes there are.
func decode(datagram []byte) (n int) {
	for m := range nlmsg.Messages(datagram) {
		if len(m.Data) < 4 {
			continue
		}
		for typ, value := range nlmsg.Attrs(m.Data[4:]) {
			n++
			if typ > 2 {
				continue
			}
			for _, value := range nlmsg.Attrs(value) {
				n++
				for range nlmsg.Attrs(value) {
					n++
				}
			}
		}
	}
	return n
}

const eventAttrs = 2*(1+2+5) + 2

func TestNothingIsAllocated(t *testing.T) {
	const events = 1000
	var b nlmsg.Builder
	allocs := testing.AllocsPerRun(10, func() {
		b.Reset()
		for seq := range uint32(events) {
			event(&b, seq)
		}
	})
	if allocs != 0 {
		t.Errorf("a batch makes %v allocations", allocs)
	}
	var n int
	if allocs := testing.AllocsPerRun(10, func() { n = decode(b.Bytes()) }); allocs != 0 {
		t.Errorf("reading a batch makes %v allocations", allocs)
	}
	if n != events*eventAttrs {
		t.Errorf("%d attributes, want %d", n, events*eventAttrs)
	}
}

func BenchmarkBuilder(b *testing.B) {
	var out nlmsg.Builder
	b.ReportAllocs()
	for b.Loop() {
		if out.Len() > 1<<20 {
			out.Reset()
		}
		event(&out, 1)
	}
}

func BenchmarkDecode(b *testing.B) {
	var out nlmsg.Builder
	event(&out, 1)
	b.ReportAllocs()
	for b.Loop() {
		if n := decode(out.Bytes()); n != eventAttrs {
			b.Fatalf("%d attributes, want %d", n, eventAttrs)
		}
	}
}
