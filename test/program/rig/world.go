// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"hafast/pkg/loader"
)

// World is a data path with nothing attached, and where it thinks it is.
type World struct {
	*loader.DataPath
	ns *namespace
}

// New loads the program. A World is for one goroutine at a time.
func New(opts loader.Options) (_ *World, err error) {
	w := new(World)
	if w.ns, err = newNamespace(); err != nil {
		return nil, err
	}
	w.ns.do(func() { err = populate() })
	if err == nil {
		w.DataPath, err = loader.Open(opts)
	}
	if err == nil {
		err = w.furnish()
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Replace loads the program anew over the same pinned maps, as an upgrade does, and
// forgets the old one. It needs Options.PinDir.
func (w *World) Replace(opts loader.Options) error {
	if err := w.DataPath.Close(); err != nil {
		return err
	}
	w.DataPath = nil
	d, err := loader.Open(opts)
	if err != nil {
		return fmt.Errorf("open the successor: %w", err)
	}
	w.DataPath = d
	return nil
}

// Close ends the world, but for what is pinned.
func (w *World) Close() error {
	var err error
	if w.DataPath != nil {
		err = w.DataPath.Close()
	}
	w.ns.close()
	return err
}

// Do calls f on the world's thread, in its network namespace. f must not end the
// goroutine, as t.FailNow does.
func (w *World) Do(f func()) { w.ns.do(f) }

// gates: the VIP's is open, VIP2's is not.
const (
	gateVIP = iota
	gateVIP2
)

// Gate of the VIP.
const Gate = gateVIP

// furnish sets what no test changes, and resets the rest.
func (w *World) furnish() error {
	var vips []loader.VIP
	var peers []loader.Peer
	locals := make(map[netip.Addr]uint32)
	for _, f := range Families() {
		vips = append(vips, loader.VIP{Addr: f.VIP, Gate: gateVIP}, loader.VIP{Addr: f.VIP2, Gate: gateVIP2})
		peers = append(peers, loader.Peer{Addr: f.Peer, Slot: Slot})
		locals[f.Self] = f.Discriminator
		locals[f.VIP] = f.Discriminator
	}
	err := errors.Join(
		w.SetVIPs(vips), w.SetPeers(peers), w.SetLocals(locals), w.SetWitness(Witness()),
		w.SetMACs([][6]byte{SelfMAC(), OtherMAC()}),
		w.Publish(Steered()),
	)
	if err != nil {
		return fmt.Errorf("furnish the world: %w", err)
	}
	return w.Reset()
}

// Slot is the peer's liveness session.
const Slot = 3

// Witness is whose ARP replies are counted.
func Witness() netip.Addr { return netip.MustParseAddr("10.0.0.254") }

// Reset puts back what tests change: the VIP's gate is open and the lease holds, the
// host is in service, targets are as the package's drawing has them, there are no
// flows, and events are listened for, of which there are none. Counters go on.
func (w *World) Reset() error {
	if err := w.SetSelf(Self); err != nil {
		return err
	}
	w.SetGate(gateVIP, true)
	w.SetGate(gateVIP2, false)
	w.RenewLease(Monotonic() + time.Hour)
	w.SetServing(true)
	w.SetProbe(ProbePort, 2*time.Millisecond, 1<<30)
	for _, t := range Targets() {
		if err := w.SetTarget(t); err != nil {
			return err
		}
	}
	s, err := w.Session(Slot)
	if err != nil {
		return err
	}
	s.SetSent(Sent)
	leg, err := w.Leg(Slot)
	if err != nil {
		return err
	}
	leg.SetSent(Sent)
	if _, err = w.DeleteFlows(func(loader.Flow) bool { return true }); err != nil {
		return err
	}
	w.ListenFlows(true)
	_, _, err = w.News()
	return err
}

// News reads the flow events that there are, and how many have been lost.
func (w *World) News() (list []loader.FlowEvent, lost uint64, err error) {
	some := make([]loader.FlowEvent, 512)
	for {
		n, missed, err := w.FlowEvents(some)
		list, lost = append(list, some[:n]...), lost+missed
		if n == 0 || err != nil {
			return list, lost, err
		}
	}
}

// Sent is the sequence number of the last probe to the peer.
const Sent = 0x10001

// Targets are the four places.
func Targets() []loader.Target {
	address := netip.MustParseAddr
	alive := loader.TargetNew | loader.TargetOld
	return []loader.Target{
		{Place: Far, Addr: address("10.1.0.3"), Ifindex: Other, MAC: FarMAC(), Source: OtherMAC(), Flags: alive},
		{Place: Self, Addr: address("10.0.0.1"), Ifindex: Lo, MAC: SelfMAC(), Source: SelfMAC(), Flags: alive | loader.TargetLocal},
		{Place: Peer, Addr: address("10.0.0.2"), Ifindex: Lo, MAC: PeerMAC(), Source: SelfMAC(), Flags: alive},
		{Place: Down, Addr: address("10.0.0.4"), Ifindex: Lo, MAC: DownMAC(), Source: SelfMAC()},
	}
}

// ServiceID is what flows of a port remember.
func ServiceID(port uint16) uint16 { return port - PortSelf + 100 }

// Steered is the services and tables of the Port constants.
func Steered() loader.Steering {
	var s loader.Steering
	for _, places := range [][]uint8{{Self}, {Peer}, {Far}, {Down}, {Far, Self, Peer}, {loader.NoTarget}} {
		table := make([]uint8, loader.TableSize)
		for i := range table {
			table[i] = places[i%len(places)]
		}
		s.Tables = append(s.Tables, table)
	}
	for _, f := range Families() {
		for port := uint16(PortSelf); port <= PortStays; port++ {
			set := port - PortSelf
			if port == PortStays {
				set = loader.NoSet
			}
			for _, proto := range []uint8{loader.TCP, loader.UDP} {
				s.Services = append(s.Services, loader.Service{VIP: f.VIP, Port: port, Proto: proto, Set: set, ID: ServiceID(port)})
			}
		}
	}
	return s
}

// Monotonic is CLOCK_MONOTONIC, the lease's clock.
func Monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(fmt.Sprintf("rig: CLOCK_MONOTONIC: %v", err))
	}
	return time.Duration(ts.Nano())
}
