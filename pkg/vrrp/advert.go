// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Protocol constants.
const (
	// Protocol is the IP protocol number (RFC 9568 section 5.1.1.4).
	Protocol = 112
	// TTL is what every advertisement is sent with and must arrive with
	// (RFC 9568 sections 5.1.1.3 and 5.1.2.3).
	TTL = 255
	// PriorityOwner is the priority of the address owner, PriorityStop says that
	// the Active has stopped taking part (RFC 9568 section 5.2.4).
	PriorityOwner = 255
	PriorityStop  = 0

	typeAdvertisement = 1 // RFC 9568 section 5.2.2
	headerLen         = 8
	authLen           = 8 // version 2 only, RFC 2338 section 5.3.10
	authNone          = 0
	authPassword      = 1
	maxAddresses      = 255 // the count field has eight bits

	centisecond = 10 * time.Millisecond
)

// Limits of the advertisement interval.
const (
	// MinInterval and MaxInterval bound version 3: 12 bits of centiseconds, not 0
	// (RFC 9568 section 5.2.7).
	MinInterval = centisecond
	MaxInterval = 4095 * centisecond
	// MaxIntervalV2 bounds version 2: 8 bits of seconds (RFC 3768 section 5.3.7).
	MaxIntervalV2 = 255 * time.Second
)

// Group4 and Group6 are where advertisements go (RFC 9568 sections 5.1.1.2 and 5.1.2.2).
func Group4() netip.Addr { return netip.AddrFrom4([4]byte{224, 0, 0, 18}) }

// Group6 is Group4's counterpart for IPv6, ff02::12.
func Group6() netip.Addr { return netip.AddrFrom16([16]byte{0xff, 0x02, 15: 0x12}) }

// VirtualMAC is the address of a virtual router: 00:00:5e:00:01:VRID for IPv4,
// 00:00:5e:00:02:VRID for IPv6 (RFC 9568 section 7.3).
func VirtualMAC(vrid uint8, ipv6 bool) [6]byte {
	family := byte(1)
	if ipv6 {
		family = 2
	}
	return [6]byte{0x00, 0x00, 0x5e, 0x00, family, vrid}
}

// Checksum selects how a version 3 advertisement over IPv4 is summed.
type Checksum uint8

const (
	// ChecksumLegacy covers the IPv4 pseudo-header too, as RFC 5798 was read by
	// keepalived and FRR and as they send by default.
	ChecksumLegacy Checksum = iota
	// ChecksumRFC9568 covers the VRRP message alone (RFC 9568 section 5.2.8).
	ChecksumRFC9568
)

// Advert is one advertisement, the only message VRRP has.
type Advert struct {
	Version  uint8
	VRID     uint8
	Priority uint8
	// Interval is the sender's advertisement interval: a multiple of 10 ms in
	// version 3, of 1 s in version 2.
	Interval time.Duration
	// Addresses are the virtual addresses, all of one family, at most 255. For IPv6
	// the first is a link-local one (RFC 9568 section 5.2.9).
	Addresses []netip.Addr
	// Password is version 2's plain text authentication, at most 8 bytes; empty
	// means none (RFC 2338 section 5.3.10.2).
	Password string
}

// AppendBinary appends the wire form of a to b. Src and dst are the addresses
// of the packet that will carry it: the checksum covers them over IPv6, and over
// IPv4 in version 3 with [ChecksumLegacy].
func (a *Advert) AppendBinary(b []byte, src, dst netip.Addr, sum Checksum) ([]byte, error) {
	if err := a.encodable(src); err != nil {
		return nil, err
	}
	start := len(b)
	b = append(b, a.Version<<4|typeAdvertisement, a.VRID, a.Priority, byte(len(a.Addresses)))
	if a.Version == 2 {
		auth := byte(authNone)
		if a.Password != "" {
			auth = authPassword
		}
		b = append(b, auth, byte(a.Interval/time.Second))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/centisecond))
	}
	b = append(b, 0, 0)
	for _, addr := range a.Addresses {
		b = append(b, addr.AsSlice()...)
	}
	if a.Version == 2 {
		var password [authLen]byte
		copy(password[:], a.Password)
		b = append(b, password[:]...)
	}
	msg := b[start:]
	total := add(0, msg)
	if src.Is6() || (a.Version == 3 && sum == ChecksumLegacy) {
		total = addPseudoHeader(total, src, dst, len(msg))
	}
	binary.BigEndian.PutUint16(msg[6:], ^fold(total))
	return b, nil
}

// encodable refuses what the wire form cannot say and what no receiver accepts.
func (a *Advert) encodable(src netip.Addr) error {
	unit, limit := centisecond, MaxInterval
	switch {
	case a.Version == 2 && src.Is6():
		return errors.New("version 2 has no IPv6")
	case a.Version == 2:
		unit, limit = time.Second, MaxIntervalV2
	case a.Version != 3:
		return fmt.Errorf("version %d is neither 2 nor 3", a.Version)
	}
	switch n := len(a.Addresses); {
	case n == 0:
		return errors.New("no address to advertise")
	case n > maxAddresses:
		return fmt.Errorf("%d addresses do not fit one advertisement (at most %d)", n, maxAddresses)
	case a.Interval < unit || a.Interval > limit || a.Interval%unit != 0:
		return fmt.Errorf("interval %s is not a multiple of %s up to %s", a.Interval, unit, limit)
	case len(a.Password) > authLen:
		return fmt.Errorf("password has %d bytes, more than %d", len(a.Password), authLen)
	}
	for _, addr := range a.Addresses {
		if addr.BitLen() != src.BitLen() {
			return fmt.Errorf("address %s is not of the family of %s", addr, src)
		}
	}
	if src.Is6() && !a.Addresses[0].IsLinkLocalUnicast() {
		return fmt.Errorf("first address %s is not link-local", a.Addresses[0])
	}
	return nil
}

// Packet is an IP packet that carries VRRP, as it was received.
type Packet struct {
	Src, Dst netip.Addr
	// TTL is the IPv4 time to live or the IPv6 hop limit.
	TTL int
	// Payload is what follows the IP header.
	Payload []byte
}

// Parse decodes and verifies what RFC 9568 section 7.1 asks for without knowing
// the configuration. The error is always a [Reject].
func Parse(p Packet) (Advert, error) {
	msg := p.Payload
	if p.TTL != TTL {
		return Advert{}, RejectTTL
	}
	if len(msg) < headerLen {
		return Advert{}, RejectTruncated
	}
	a := Advert{Version: msg[0] >> 4, VRID: msg[1], Priority: msg[2]}
	if a.Version != 3 && (a.Version != 2 || p.Src.Is6()) {
		return Advert{}, RejectVersion
	}
	if msg[0]&0x0f != typeAdvertisement {
		return Advert{}, RejectType
	}
	count, size, trailer := int(msg[3]), 4, 0
	if p.Src.Is6() {
		size = 16
	}
	if a.Version == 2 {
		trailer = authLen
	}
	if len(msg) < headerLen+count*size+trailer {
		return Advert{}, RejectTruncated
	}
	if !sumValid(a.Version, p) {
		return Advert{}, RejectChecksum
	}
	if count == 0 {
		return Advert{}, RejectCount
	}
	if a.Version == 2 {
		a.Interval = time.Duration(msg[5]) * time.Second
	} else {
		// The four bits above are reserved and ignored (section 5.2.6).
		a.Interval = time.Duration(binary.BigEndian.Uint16(msg[4:])&0x0fff) * centisecond
	}
	if a.Interval == 0 {
		return Advert{}, RejectInterval
	}
	a.Addresses = make([]netip.Addr, count)
	for i := range a.Addresses {
		at := headerLen + i*size
		a.Addresses[i], _ = netip.AddrFromSlice(msg[at : at+size])
	}
	if p.Src.Is6() && !a.Addresses[0].IsLinkLocalUnicast() {
		return Advert{}, RejectFirstAddress
	}
	if a.Version == 2 {
		var err error
		if a.Password, err = parseAuth(msg[4], msg[headerLen+count*size:]); err != nil {
			return Advert{}, err
		}
	}
	return a, nil
}

func parseAuth(kind byte, data []byte) (string, error) {
	switch kind {
	case authNone:
		return "", nil
	case authPassword:
		end := authLen
		for end > 0 && data[end-1] == 0 {
			end--
		}
		return string(data[:end]), nil
	default:
		return "", RejectAuth
	}
}

// sumValid accepts version 3 over IPv4 with and without the pseudo-header: the
// specification and its most used implementations differ.
func sumValid(version uint8, p Packet) bool {
	plain := add(0, p.Payload)
	pseudo := addPseudoHeader(plain, p.Src, p.Dst, len(p.Payload))
	switch {
	case p.Src.Is6():
		return fold(pseudo) == 0xffff
	case version == 2:
		return fold(plain) == 0xffff
	default:
		return fold(plain) == 0xffff || fold(pseudo) == 0xffff
	}
}

// add sums b as 16-bit words (RFC 1071), the last odd byte padded with zero. A
// message of 4096 bytes cannot overflow the 32 bits.
func add(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// addPseudoHeader sums what RFC 8200 section 8.1 puts before the message, and
// its IPv4 counterpart, which sums to the same form.
func addPseudoHeader(sum uint32, src, dst netip.Addr, length int) uint32 {
	sum = add(sum, src.AsSlice())
	sum = add(sum, dst.AsSlice())
	return sum + uint32(length) + Protocol
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
