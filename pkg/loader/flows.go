package loader

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
)

// Flow is an entry of the flow tables.
type Flow struct {
	Proto   uint8 // TCP or UDP
	Client  netip.AddrPort
	VIP     netip.AddrPort
	Place   int // of its target
	Closing bool
	Service uint16
	Idle    time.Duration // since its last packet, to the jiffy
}

// batch is how many entries are read or written by one system call.
const batch = 4096

// errStop ends an iteration without being an error.
var errStop = errors.New("stop")

// Flows iterates over all flows, while packets go on changing them: a flow that is
// there all the time is seen exactly once. An error ends the iteration.
func (d *DataPath) Flows() iter.Seq2[Flow, error] {
	return func(yield func(Flow, error) bool) {
		err := d.eachFlow(func(f Flow) bool { return yield(f, nil) })
		if err != nil {
			yield(Flow{}, err)
		}
	}
}

// FlowCounts are entries by table.
type FlowCounts struct {
	TCP4, TCP6, UDP4, UDP6 int
}

// FlowCounts counts the flows. The kernel keeps no count, so every entry is visited:
// about 0.4 s for a million.
func (d *DataPath) FlowCounts() (c FlowCounts, err error) {
	for _, t := range []struct {
		m *ebpf.Map
		n *int
	}{{d.maps.Tcp4, &c.TCP4}, {d.maps.Tcp6, &c.TCP6}, {d.maps.Udp4, &c.UDP4}, {d.maps.Udp6, &c.UDP6}} {
		if *t.n, err = countEntries(t.m); err != nil {
			return c, fmt.Errorf("count flows: %w", err)
		}
	}
	return c, nil
}

// DeleteFlows deletes the flows that drop tells and returns how many. A packet that
// comes between the question and the deletion does not save its flow.
func (d *DataPath) DeleteFlows(drop func(Flow) bool) (int, error) {
	now, err := d.ticks.now()
	if err != nil {
		return 0, err
	}
	n := 0
	err = errors.Join(
		deleteFlows(d.maps.Tcp4, &n, func(k *bpfFlow4Key, v *bpfFlow) bool { return drop(d.flow4(TCP, k, v, now)) }),
		deleteFlows(d.maps.Udp4, &n, func(k *bpfFlow4Key, v *bpfFlow) bool { return drop(d.flow4(UDP, k, v, now)) }),
		deleteFlows(d.maps.Tcp6, &n, func(k *bpfFlow6Key, v *bpfFlow) bool { return drop(d.flow6(TCP, k, v, now)) }),
		deleteFlows(d.maps.Udp6, &n, func(k *bpfFlow6Key, v *bpfFlow) bool { return drop(d.flow6(UDP, k, v, now)) }),
	)
	return n, err
}

// SweepIdle deletes flows that have been idle for longer than their kind may be, and
// returns how many.
func (d *DataPath) SweepIdle(established, closing, udp time.Duration) (int, error) {
	return d.DeleteFlows(func(f Flow) bool {
		limit := established
		switch {
		case f.Proto == UDP:
			limit = udp
		case f.Closing:
			limit = closing
		}
		return f.Idle > limit
	})
}

// PutFlows writes flows into the tables, over what is there. If one makes no sense,
// none is written.
func (d *DataPath) PutFlows(flows []Flow) error {
	now, err := d.ticks.now()
	if err != nil {
		return err
	}
	var tcp4, udp4 entries[bpfFlow4Key]
	var tcp6, udp6 entries[bpfFlow6Key]
	for _, f := range flows {
		value := bpfFlow{Target: uint8(f.Place), Service: f.Service, Seen: d.ticks.before(now, f.Idle)}
		if f.Closing {
			value.Flags = flowClosing
		}
		four, six := &tcp4, &tcp6
		if f.Proto == UDP {
			four, six = &udp4, &udp6
		}
		client, vip := f.Client.Addr().Unmap(), f.VIP.Addr().Unmap()
		if !client.IsValid() || !vip.IsValid() || client.Is4() != vip.Is4() || f.Place < 0 || f.Place >= MaxTargets {
			return fmt.Errorf("put flows: no such flow: %v to %v, place %d", f.Client, f.VIP, f.Place)
		}
		clientPort, vipPort := swap16(f.Client.Port()), swap16(f.VIP.Port())
		if client.Is4() {
			four.add(bpfFlow4Key{Client: word4(client), Vip: word4(vip), ClientPort: clientPort, VipPort: vipPort}, value)
		} else {
			six.add(bpfFlow6Key{Client: words6(client), Vip: words6(vip), ClientPort: clientPort, VipPort: vipPort}, value)
		}
	}
	err = errors.Join(tcp4.put(d.maps.Tcp4), udp4.put(d.maps.Udp4), tcp6.put(d.maps.Tcp6), udp6.put(d.maps.Udp6))
	if err != nil {
		return fmt.Errorf("put flows: %w", err)
	}
	return nil
}

// eachFlow calls f until it says no.
func (d *DataPath) eachFlow(f func(Flow) bool) error {
	now, err := d.ticks.now()
	if err != nil {
		return err
	}
	visit4 := func(proto uint8) func(*bpfFlow4Key, *bpfFlow) error {
		return func(k *bpfFlow4Key, v *bpfFlow) error { return stopUnless(f(d.flow4(proto, k, v, now))) }
	}
	visit6 := func(proto uint8) func(*bpfFlow6Key, *bpfFlow) error {
		return func(k *bpfFlow6Key, v *bpfFlow) error { return stopUnless(f(d.flow6(proto, k, v, now))) }
	}
	for _, table := range []func() error{
		func() error { return eachEntry(d.maps.Tcp4, visit4(TCP)) },
		func() error { return eachEntry(d.maps.Tcp6, visit6(TCP)) },
		func() error { return eachEntry(d.maps.Udp4, visit4(UDP)) },
		func() error { return eachEntry(d.maps.Udp6, visit6(UDP)) },
	} {
		if err := table(); errors.Is(err, errStop) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read flows: %w", err)
		}
	}
	return nil
}

func stopUnless(more bool) error {
	if more {
		return nil
	}
	return errStop
}

func (d *DataPath) flow4(proto uint8, k *bpfFlow4Key, v *bpfFlow, now uint32) Flow {
	return Flow{
		Proto:  proto,
		Client: netip.AddrPortFrom(addr4(k.Client), swap16(k.ClientPort)),
		VIP:    netip.AddrPortFrom(addr4(k.Vip), swap16(k.VipPort)),
		Place:  int(v.Target), Closing: v.Flags&flowClosing != 0, Service: v.Service, Idle: d.ticks.since(now, v.Seen),
	}
}

func (d *DataPath) flow6(proto uint8, k *bpfFlow6Key, v *bpfFlow, now uint32) Flow {
	return Flow{
		Proto:  proto,
		Client: netip.AddrPortFrom(addr6(k.Client), swap16(k.ClientPort)),
		VIP:    netip.AddrPortFrom(addr6(k.Vip), swap16(k.VipPort)),
		Place:  int(v.Target), Closing: v.Flags&flowClosing != 0, Service: v.Service, Idle: d.ticks.since(now, v.Seen),
	}
}
