// SPDX-License-Identifier: Apache-2.0

// Package advert carries VRRP advertisements: one raw socket for each interface
// and family, however many virtual routers share it.
//
//	Conn.Send ──> raw IP socket, IP protocol 112, TTL 255 ──> group or peer
//	          └─> packet socket, if the source MAC is a virtual one
//	Conn.Run  <── raw IP socket, bound to the interface
//
// It knows addresses and bytes; what they mean is package vrrp's.
package advert
