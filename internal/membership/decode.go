// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"hafast/internal/steering"
)

// Decode reads a hello. The error is a Reject, or wraps one.
func Decode(b []byte) (Hello, error) {
	if len(b) > MaxSize {
		return Hello{}, RejectSize
	}
	r := reader{rest: b}
	if string(r.take(len(magic))) != magic {
		return Hello{}, RejectForeign
	}
	version := r.byte()
	software := r.text()
	switch {
	case r.failed == nil && version == Version:
	case version == Version, version == 0:
		return Hello{}, RejectTruncated
	case r.failed != nil || !printable(software):
		return Hello{}, &VersionError{Version: version}
	default:
		return Hello{}, &VersionError{Version: version, Software: software}
	}
	h := Hello{Software: software}
	r.body(&h)
	switch {
	case r.failed != nil:
		return Hello{}, r.failed
	case len(r.rest) > 0:
		return Hello{}, RejectTrailing
	}
	if err := h.check(); err != nil {
		return Hello{}, err
	}
	return h, nil
}

// reader takes fields off the front of a packet. After the first failure it only
// returns zeros.
type reader struct {
	rest   []byte
	failed error
}

func (r *reader) body(h *Hello) {
	h.Boot = r.uint64()
	h.Sequence = r.uint64()
	h.State = State(r.byte())
	kind := r.byte()
	copy(h.MAC[:], r.take(6))
	h.Left = r.uint32()
	h.Node = r.text()
	h.Reason = r.text()
	for range r.count(int(r.byte()), 1+4, MaxAddresses) {
		h.Addresses = append(h.Addresses, r.addr(r.six()))
	}
	r.words(h, kind)
	h.Services = r.services(h.Services, false)
	h.Services = r.services(h.Services, true)
}

// words takes the legs and the routers, or passes over what earlier releases had there.
func (r *reader) words(h *Hello, kind byte) {
	n := int(r.uint16())
	if kind != legsAndRouters {
		r.take(4 * n)
		return
	}
	legs, routers := int(r.uint16()), int(r.uint16())
	if n != 1+legs+routerWords*routers {
		r.fail(RejectCount)
	}
	for range r.count(legs, 4, MaxLegs) {
		h.Legs = append(h.Legs, legOf(r.uint32()))
	}
	for range r.count(routers, 4*routerWords, MaxRouters) {
		router := Router{Key: r.uint32(), Priority: r.byte(), Standing: Standing(r.byte())}
		if r.uint16() != 0 {
			r.fail(RejectValue)
		}
		h.Routers = append(h.Routers, router)
	}
	if legs+routers == 0 {
		r.fail(RejectValue) // there is one way only to write a hello
	}
}

func (r *reader) services(list []steering.Service, six bool) []steering.Service {
	size := 4 + 2 + 1
	if six {
		size = 16 + 2 + 1
	}
	n := r.count(int(r.uint16()), size, MaxServices)
	block := r.take(n * size)
	list = slices.Grow(list, n)
	for ; len(block) > 0; block = block[size:] {
		vip, _ := netip.AddrFromSlice(block[:size-3])
		list = append(list, steering.Service{VIP: vip, Port: binary.BigEndian.Uint16(block[size-3:]), Proto: block[size-1]})
	}
	return list
}

// count checks a number of things of at least so many bytes each before any room
// is made for them.
func (r *reader) count(n, size, limit int) int {
	switch {
	case n > limit:
		r.fail(RejectCount)
	case n*size > len(r.rest):
		r.fail(RejectTruncated)
	}
	if r.failed != nil {
		return 0
	}
	return n
}

func (r *reader) fail(reason Reject) {
	if r.failed == nil {
		r.failed = reason
	}
	r.rest = nil
}

// take returns the next n bytes, or nil.
func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.fail(RejectTruncated)
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) text() string { return string(r.take(int(r.byte()))) }

// six reads a family.
func (r *reader) six() bool {
	f := r.byte()
	if f != family4 && f != family6 {
		r.fail(RejectValue)
	}
	return f == family6
}

// addr reads an address. An IPv4-mapped one is left as it is, for check to refuse.
func (r *reader) addr(six bool) netip.Addr {
	size := 4
	if six {
		size = 16
	}
	a, _ := netip.AddrFromSlice(r.take(size))
	return a
}
