// SPDX-License-Identifier: Apache-2.0

// Package capture records what passes a lab host's interface, takes it apart, and
// puts packets of the test's own making on the wire.
//
//	wire ──> packet socket ──> Tap ──> Frame ──> ARP, Neighbour, IP, VRRP
//	wire <── packet socket <── Tap.Send <── Ethernet(IPv4(Advert.Bytes(...)))
//
// Frames carry the kernel's own time stamps, so that intervals and orders do not
// depend on when the test got to read them. The decoding is plain code that shares
// nothing with the codec under test: the one is to find the other's mistakes. For
// the same reason nothing is judged here; a wrong checksum is a field like any other.
package capture
