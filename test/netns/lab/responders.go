// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
)

// askEvery is the pause between two requests of one question.
const askEvery = 100 * time.Millisecond

// Responders asks the network who has addr, by ARP or by neighbour solicitation,
// for as long as window, and returns every distinct hardware address that
// answered, sorted. More than one means that hosts disagree on who owns addr.
//
// The kernel's neighbour table would keep one answer only, hence the own socket.
func (h *Host) Responders(ctx context.Context, addr netip.Addr, window time.Duration) ([]net.HardwareAddr, error) {
	ask := h.askARP
	if addr.Is6() {
		ask = h.askNDP
	}
	var seen []net.HardwareAddr
	for end := time.Now().Add(window); time.Now().Before(end); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		until := time.Now().Add(askEvery)
		if until.After(end) {
			until = end
		}
		answers, err := ask(addr, until)
		if err != nil {
			return nil, fmt.Errorf("%s: ask who has %s: %w", h.Name, addr, err)
		}
		for _, mac := range answers {
			if !slices.ContainsFunc(seen, func(m net.HardwareAddr) bool { return slices.Equal(m, mac) }) {
				seen = append(seen, mac)
			}
		}
	}
	slices.SortFunc(seen, func(a, b net.HardwareAddr) int { return slices.Compare(a, b) })
	return seen, nil
}

// ARP is Responders with a window of 300 ms and an empty answer on error.
func (h *Host) ARP(addr netip.Addr) []net.HardwareAddr {
	macs, err := h.Responders(context.Background(), addr, 3*askEvery)
	if err != nil {
		return nil
	}
	return macs
}

// askARP broadcasts one request and collects the replies until the deadline.
func (h *Host) askARP(addr netip.Addr, until time.Time) (answers []net.HardwareAddr, err error) {
	request, err := arp.NewPacket(arp.OperationRequest, h.MAC, h.Addr, ethernet.Broadcast, addr)
	if err != nil {
		return nil, err
	}
	body, err := request.MarshalBinary()
	if err != nil {
		return nil, err
	}
	frame := &ethernet.Frame{
		Destination: ethernet.Broadcast,
		Source:      h.MAC,
		EtherType:   ethernet.EtherTypeARP,
		Payload:     body,
	}
	err = h.exchange(frame, until, func(payload []byte) {
		var p arp.Packet
		// Gratuitous replies are announcements, not answers to this question.
		if p.UnmarshalBinary(payload) == nil && p.Operation == arp.OperationReply &&
			p.SenderIP == addr && p.TargetIP == h.Addr {
			answers = append(answers, slices.Clone(p.SenderHardwareAddr))
		}
	})
	return answers, err
}

// exchange sends a frame and passes the payload of every frame of the same type
// that is received until the deadline to handle.
func (h *Host) exchange(frame *ethernet.Frame, until time.Time, handle func(payload []byte)) error {
	out, err := frame.MarshalBinary()
	if err != nil {
		return err
	}
	var conn *packet.Conn
	if err := h.Do(func() error {
		ifi, err := net.InterfaceByName(Interface)
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, int(frame.EtherType), nil)
		return err
	}); err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.WriteTo(out, &packet.Addr{HardwareAddr: frame.Destination}); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(until); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for {
		n, _, err := conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
		var f ethernet.Frame
		if f.UnmarshalBinary(buf[:n]) == nil {
			handle(f.Payload)
		}
	}
}
