// SPDX-License-Identifier: Apache-2.0

package nlmsg_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// raw is a message whose header claims a length.
func raw(length uint32, typ uint16, data ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, length)
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_MULTI)
	b = binary.NativeEndian.AppendUint32(b, 7)
	b = binary.NativeEndian.AppendUint32(b, 4711)
	return append(b, data...)
}

// rawAttr is an attribute whose header claims a length.
func rawAttr(length, typ uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, length)
	b = binary.NativeEndian.AppendUint16(b, typ)
	return append(b, value...)
}

func message(typ uint16, data ...byte) nlmsg.Message {
	return nlmsg.Message{Type: typ, Flags: unix.NLM_F_MULTI, Seq: 7, Port: 4711, Data: append([]byte{}, data...)}
}

func TestMessages(t *testing.T) {
	for _, test := range []struct {
		name     string
		datagram []byte
		want     []nlmsg.Message
	}{
		{"nothing", nil, nil},
		{"half a header", raw(16, 1)[:15], nil},
		{"no data", raw(16, 1), []nlmsg.Message{message(1)}},
		{"data", raw(18, 1, 0xa, 0xb), []nlmsg.Message{message(1, 0xa, 0xb)}},
		{
			"padding", slices.Concat(raw(17, 1, 0xa, 0, 0, 0), raw(20, 2, 1, 2, 3, 4)),
			[]nlmsg.Message{message(1, 0xa), message(2, 1, 2, 3, 4)},
		},
		{"padding cut short", slices.Concat(raw(16, 1), raw(17, 2, 0xa, 0)), []nlmsg.Message{message(1), message(2, 0xa)}},
		{"length 0", slices.Concat(raw(16, 1), raw(0, 2), raw(16, 3)), []nlmsg.Message{message(1)}},
		{"length below the header's", slices.Concat(raw(15, 1), raw(16, 2)), nil},
		{"length beyond the end", slices.Concat(raw(16, 1), raw(18, 2, 0xa)), []nlmsg.Message{message(1)}},
		{"length of 4 GiB", raw(1<<32-1, 1, 1, 2, 3, 4), nil},
		{"length that is negative as an int32", raw(1<<31, 1, 1, 2, 3, 4), nil},
		{"too little behind it", slices.Concat(raw(16, 1), raw(16, 2)[:12]), []nlmsg.Message{message(1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := slices.Collect(nlmsg.Messages(test.datagram))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

type attr struct {
	Type  uint16
	Value []byte
}

func attrs(b []byte) []attr {
	var list []attr
	for typ, value := range nlmsg.Attrs(b) {
		list = append(list, attr{typ, value})
	}
	return list
}

func TestAttrs(t *testing.T) {
	for _, test := range []struct {
		name string
		b    []byte
		want []attr
	}{
		{"nothing", nil, nil},
		{"half a header", rawAttr(4, 1)[:3], nil},
		{"no value", rawAttr(4, 1), []attr{{1, []byte{}}}},
		{"padding", slices.Concat(rawAttr(5, 1, 0xa, 0, 0, 0), rawAttr(6, 2, 1, 2)), []attr{{1, []byte{0xa}}, {2, []byte{1, 2}}}},
		{
			"flags", slices.Concat(rawAttr(4, 1|unix.NLA_F_NESTED), rawAttr(4, 2|unix.NLA_F_NET_BYTEORDER)),
			[]attr{{1, []byte{}}, {2, []byte{}}},
		},
		{"length 0", slices.Concat(rawAttr(4, 1), rawAttr(0, 2), rawAttr(4, 3)), []attr{{1, []byte{}}}},
		{"length below the header's", slices.Concat(rawAttr(3, 1), rawAttr(4, 2)), nil},
		{"length beyond the end", slices.Concat(rawAttr(4, 1), rawAttr(6, 2, 0xa)), []attr{{1, []byte{}}}},
		{"length of 65535", rawAttr(65535, 1, 1, 2, 3, 4), nil},
		{"too little behind it", slices.Concat(rawAttr(4, 1), rawAttr(4, 2)[:2]), []attr{{1, []byte{}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, attrs(test.b)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWalksEndWithTheirLoop(t *testing.T) {
	n := 0
	for range nlmsg.Messages(slices.Concat(raw(16, 1), raw(16, 2))) {
		n++
		break
	}
	for range nlmsg.Attrs(slices.Concat(rawAttr(4, 1), rawAttr(4, 2))) {
		n++
		break
	}
	if n != 2 {
		t.Errorf("%d turns, want one of each walk", n)
	}
}

func TestErrno(t *testing.T) {
	code := func(n int32, more ...byte) []byte {
		return append(binary.NativeEndian.AppendUint32(nil, uint32(n)), more...)
	}
	for _, test := range []struct {
		name string
		data []byte
		want error
	}{
		{"success", code(0), nil},
		{"refused", code(-int32(unix.EEXIST)), unix.EEXIST},
		{"with the request behind it", code(-int32(unix.EPERM), raw(16, 1)...), unix.EPERM},
		{"too short", []byte{0, 0, 0}, unix.EBADMSG},
		{"empty", nil, unix.EBADMSG},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := message(unix.NLMSG_ERROR, test.data...).Errno(); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
	// Such a code is never sent; it must read as a failure all the same.
	if err := message(unix.NLMSG_ERROR, code(-1<<31)...).Errno(); err == nil {
		t.Error("the lowest code is success")
	}
}

// FuzzWalk follows datagrams into all depths: nothing outside them is seen, every
// walk ends, and what the standard library takes whole is read alike.
func FuzzWalk(f *testing.F) {
	nest := rawAttr(12, 2|unix.NLA_F_NESTED, rawAttr(5, 1, 0xa, 0, 0, 0)...)
	f.Add(raw(16, 1))
	f.Add(slices.Concat(raw(17, 1, 0xa, 0, 0, 0), raw(16+12, 2, nest...)))
	f.Add(slices.Concat(raw(16, 1), raw(1<<32-1, 2), raw(16, 3)))
	f.Add(raw(16+8, 1, rawAttr(65535, 1, 1, 2, 3, 4)...))
	f.Fuzz(func(t *testing.T, input []byte) {
		// What follows the datagram in its buffer is an older one's.
		buf := append(slices.Clone(input), bytes.Repeat(raw(16, 0xdead), 4)...)
		datagram := buf[:len(input)]
		got := slices.Collect(nlmsg.Messages(datagram))
		if want, err := syscall.ParseNetlinkMessage(input); err == nil {
			if len(got) != len(want) {
				t.Fatalf("%d messages, want %d", len(got), len(want))
			}
			for i, m := range want {
				h := m.Header
				if diff := cmp.Diff(nlmsg.Message{Type: h.Type, Flags: h.Flags, Seq: h.Seq, Port: h.Pid, Data: m.Data}, got[i]); diff != "" {
					t.Errorf("message %d: %s", i, diff)
				}
			}
		}
		for _, m := range got {
			_ = m.Errno()
			within(t, datagram, m.Data)
			walk(t, m.Data, 0)
		}
	})
}

// walk takes every value for a nest, down to some depth.
func walk(t *testing.T, b []byte, depth int) {
	if depth == 8 {
		return
	}
	n := 0
	for typ, value := range nlmsg.Attrs(b) {
		if typ&(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) != 0 {
			t.Errorf("flags in type %#x", typ)
		}
		within(t, b, value)
		walk(t, value, depth+1)
		if n += unix.NLA_HDRLEN + len(value); n > len(b) {
			t.Fatalf("attributes of %d bytes in %d", n, len(b))
		}
	}
}

// within tells where a part lies, and that appending to it would leave the rest alone.
func within(t *testing.T, whole, part []byte) {
	t.Helper()
	begin, end := uintptr(unsafe.Pointer(unsafe.SliceData(whole))), uintptr(len(whole))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(part))) - begin
	if cap(part) != len(part) || len(part) > 0 && (at > end || at+uintptr(len(part)) > end) {
		t.Fatalf("%d bytes of %d at %d in %d", len(part), cap(part), at, end)
	}
}
