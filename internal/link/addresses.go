// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Address is an address to put on an interface.
type Address struct {
	// Prefix is the address with the prefix length it gets.
	Prefix netip.Prefix
	// Label is IPv4's address label, which must begin with the interface's
	// name; empty means just that name.
	Label string
}

// Outcome tells what a call has really done.
type Outcome struct {
	// Changed are the addresses that were added or removed; those that needed
	// nothing are not among them.
	Changed []netip.Addr
	// Failed are the addresses the kernel refused.
	Failed []netip.Addr
}

// AddressError says why an address could not be added or removed.
type AddressError struct {
	// Op is "add" or "remove".
	Op        string
	Interface string
	Addr      netip.Addr
	// More counts further addresses that failed in the same call.
	More int
	Err  error
}

func (e *AddressError) Error() string {
	direction := "to"
	if e.Op == "remove" {
		direction = "from"
	}
	text := fmt.Sprintf("%s %s %s %s: %v", e.Op, e.Addr, direction, e.Interface, e.Err)
	if e.More > 0 {
		text += fmt.Sprintf(" (and %d more)", e.More)
	}
	return text
}

// Unwrap returns the kernel's errno, or ErrNotFound for a missing interface.
func (e *AddressError) Unwrap() error { return e.Err }

// AddAddresses puts the addresses on the interface; one that is there already
// is fine. On failure the others are added all the same, and the error is an
// *AddressError.
func (c *Conn) AddAddresses(iface string, addrs []Address) (Outcome, error) {
	return c.changeAddresses("add", iface, addrs, unix.EEXIST)
}

// RemoveAddresses takes the addresses off the interface; one that is not there,
// or an interface that does not exist, is fine. On failure the others are
// removed all the same, and the error is an *AddressError.
func (c *Conn) RemoveAddresses(iface string, addrs []Address) (Outcome, error) {
	out, err := c.changeAddresses("remove", iface, addrs, unix.EADDRNOTAVAIL)
	if errors.Is(err, ErrNotFound) || errors.Is(err, unix.ENODEV) {
		return Outcome{Changed: out.Changed}, nil
	}
	return out, err
}

// changeAddresses adds or removes the addresses; harmless is the errno that says
// there was nothing to do.
func (c *Conn) changeAddresses(op, iface string, addrs []Address, harmless error) (Outcome, error) {
	if len(addrs) == 0 {
		return Outcome{}, nil
	}
	var out Outcome
	var failure *AddressError
	fail := func(a Address, err error) {
		out.Failed = append(out.Failed, a.Prefix.Addr())
		if failure == nil {
			failure = &AddressError{Op: op, Interface: iface, Addr: a.Prefix.Addr(), Err: err}
		} else {
			failure.More++
		}
	}
	index, err := c.index(iface)
	if err != nil {
		for _, a := range addrs {
			fail(a, err)
		}
		return out, failure
	}
	write := (*requests).delAddr
	if op == "add" {
		write = (*requests).newAddr
	}
	results := c.socket.batch(len(addrs), func(r *requests, i int) { write(r, index, addrs[i]) })
	for i, err := range results {
		switch {
		case err == nil:
			out.Changed = append(out.Changed, addrs[i].Prefix.Addr())
		case errors.Is(err, harmless):
		default:
			fail(addrs[i], err)
		}
	}
	if failure != nil {
		return out, failure
	}
	return out, nil
}

// newAddr asks for an address.
//
// The connected route of a VIP that has a network (10.8.0.208/24) is left to the
// kernel: on an interface without an address of its own it is the only one.
func (r *requests) newAddr(index int, a Address) {
	addr := a.Prefix.Addr()
	r.begin(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
		ifaddrHeader(family(addr), uint8(a.Prefix.Bits()), 0, index)...)
	defer r.End()
	r.Attr(unix.IFA_LOCAL, addr.AsSlice())
	if addr.Is4() {
		r.Attr(unix.IFA_ADDRESS, addr.AsSlice())
		if a.Label != "" {
			r.Text(unix.IFA_LABEL, a.Label)
		}
		return
	}
	// Duplicate address detection would keep the VIP tentative for a second or
	// more, and a previous Active that is slow to leave would make it fail for
	// good. VRRP, not DAD, decides who has the address.
	r.Uint32(unix.IFA_FLAGS, unix.IFA_F_NODAD)
	if a.Prefix.IsSingleIP() {
		// A preferred lifetime of 0 makes the address deprecated: it serves
		// whoever asks for it, but source address selection (RFC 6724 section 5
		// rule 3) does not put it on the host's own connections, which would
		// break when the VIP moves. keepalived does the same.
		r.Attr(unix.IFA_CACHEINFO, lifetimes(0, math.MaxUint32))
	}
}

// delAddr asks for an address's removal. The prefix must match exactly,
// the label need not.
func (r *requests) delAddr(index int, a Address) {
	addr := a.Prefix.Addr()
	r.begin(unix.RTM_DELADDR, 0, ifaddrHeader(family(addr), uint8(a.Prefix.Bits()), 0, index)...)
	r.Attr(unix.IFA_LOCAL, addr.AsSlice())
	r.Attr(unix.IFA_ADDRESS, addr.AsSlice())
	r.End()
}

// ifaddrHeader is struct ifaddrmsg.
func ifaddrHeader(family, bits, scope uint8, index int) []byte {
	return binary.NativeEndian.AppendUint32([]byte{family, bits, 0, scope}, uint32(index))
}

// lifetimes is struct ifa_cacheinfo, in seconds; the kernel reads nothing else of it.
func lifetimes(preferred, valid uint32) []byte {
	b := binary.NativeEndian.AppendUint32(make([]byte, 0, unix.SizeofIfaCacheinfo), preferred)
	b = binary.NativeEndian.AppendUint32(b, valid)
	return b[:unix.SizeofIfaCacheinfo]
}
