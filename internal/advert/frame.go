// SPDX-License-Identifier: Apache-2.0

package advert

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"hafast/pkg/vrrp"
)

// frameSender sends complete Ethernet frames, because a raw IP socket cannot
// choose the source MAC. It only reaches multicast groups: their MAC follows from
// the address, a peer's would have to be resolved.
type frameSender struct {
	conn *packet.Conn
}

func newFrameSender(ifi *net.Interface) (*frameSender, error) {
	conn, err := packet.Listen(ifi, packet.Raw, 0, nil) // protocol 0 receives nothing
	if err != nil {
		return nil, err
	}
	return &frameSender{conn}, nil
}

func (f *frameSender) close() error { return f.conn.Close() }

func (f *frameSender) send(mac [6]byte, b []byte, src, dst netip.Addr) error {
	if !dst.IsMulticast() {
		return errors.New("a virtual MAC cannot be used towards unicast peers")
	}
	group := groupMAC(dst)
	_, err := f.conn.WriteTo(frame(mac, b, src, dst), &packet.Addr{HardwareAddr: group[:]})
	return err
}

// frame wraps an advertisement in an IP and an Ethernet header.
func frame(mac [6]byte, b []byte, src, dst netip.Addr) []byte {
	out := make([]byte, 0, 14+40+len(b))
	group := groupMAC(dst)
	out = append(out, group[:]...)
	out = append(out, mac[:]...)
	if src.Is4() {
		out = binary.BigEndian.AppendUint16(out, unix.ETH_P_IP)
		out = appendIPv4(out, len(b), src, dst)
	} else {
		out = binary.BigEndian.AppendUint16(out, unix.ETH_P_IPV6)
		out = appendIPv6(out, len(b), src, dst)
	}
	return append(out, b...)
}

// groupMAC is RFC 1112 section 6.4 and RFC 2464 section 7.
func groupMAC(group netip.Addr) [6]byte {
	b := group.AsSlice()
	if group.Is4() {
		return [6]byte{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	return [6]byte{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

func appendIPv4(out []byte, payload int, src, dst netip.Addr) []byte {
	start := len(out)
	out = append(out, 0x45, classCS6)
	out = binary.BigEndian.AppendUint16(out, uint16(20+payload))
	out = append(out, 0, 0, 0x40, 0, vrrp.TTL, vrrp.Protocol, 0, 0) // don't fragment
	out = append(out, src.AsSlice()...)
	out = append(out, dst.AsSlice()...)
	header := out[start:]
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum))
	return out
}

func appendIPv6(out []byte, payload int, src, dst netip.Addr) []byte {
	out = binary.BigEndian.AppendUint32(out, 6<<28|classCS6<<20)
	out = binary.BigEndian.AppendUint16(out, uint16(payload))
	out = append(out, vrrp.Protocol, vrrp.TTL)
	out = append(out, src.AsSlice()...)
	return append(out, dst.AsSlice()...)
}
