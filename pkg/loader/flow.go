// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"net/netip"
	"time"
	"unsafe"
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
	// Replica: a peer has told it (ApplyReplicas), and no packet of it has come here
	// since.
	Replica bool
	// Generation is, of a replica, the last bits of the generation that it was told in.
	Generation uint8
}

const (
	generationShift = 2
	// maxGenerations is how many generations an entry can tell apart from its own.
	maxGenerations = 1<<(8-generationShift) - 1
)

// sensible reports whether there can be such a flow.
func (f *Flow) sensible() bool {
	client, vip := f.Client.Addr(), f.VIP.Addr()
	return (f.Proto == TCP || f.Proto == UDP) && client.IsValid() && vip.IsValid() && client.Unmap().Is4() == vip.Unmap().Is4() &&
		f.Place >= 0 && f.Place < MaxTargets
}

func (d *DataPath) flow4(proto uint8, k *bpfFlow4Key, v *bpfFlow, now uint32) Flow {
	return d.flow(proto, endOf4(k.Client, k.ClientPort), endOf4(k.Vip, k.VipPort), v, now)
}

func (d *DataPath) flow6(proto uint8, k *bpfFlow6Key, v *bpfFlow, now uint32) Flow {
	return d.flow(proto, endOf6(k.Client, k.ClientPort), endOf6(k.Vip, k.VipPort), v, now)
}

func (d *DataPath) flow(proto uint8, client, vip netip.AddrPort, v *bpfFlow, now uint32) Flow {
	f := Flow{
		Proto: proto, Client: client, VIP: vip,
		Place: int(v.Target), Closing: v.Flags&flowClosing != 0, Service: v.Service, Idle: d.ticks.since(now, v.Seen),
	}
	if v.Flags&flowReplica != 0 {
		f.Replica, f.Generation = true, v.Flags>>generationShift
	}
	return f
}

// value is a flow as its table has it.
func (d *DataPath) value(f *Flow, now uint32) bpfFlow {
	v := bpfFlow{Target: uint8(f.Place), Service: f.Service, Seen: d.ticks.before(now, f.Idle)}
	if f.Closing {
		v.Flags |= flowClosing
	}
	if f.Replica {
		v.Flags |= flowReplica | f.Generation<<generationShift
	}
	return v
}

func endOf4(a uint32, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(addr4(a), swap16(port))
}

func endOf6(a [4]uint32, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(addr6(a), swap16(port))
}

func key4(f *Flow) bpfFlow4Key {
	return bpfFlow4Key{
		Client: word4(f.Client.Addr().Unmap()), Vip: word4(f.VIP.Addr().Unmap()),
		ClientPort: swap16(f.Client.Port()), VipPort: swap16(f.VIP.Port()),
	}
}

func key6(f *Flow) bpfFlow6Key {
	return bpfFlow6Key{
		Client: words6(f.Client.Addr()), Vip: words6(f.VIP.Addr()),
		ClientPort: swap16(f.Client.Port()), VipPort: swap16(f.VIP.Port()),
	}
}

// keyOf is a flow's key as records have it: that of IPv4 lies at the beginning.
func keyOf(f *Flow) (key bpfFlow6Key, ipv6 uint8) {
	if f.VIP.Addr().Unmap().Is4() {
		*(*bpfFlow4Key)(unsafe.Pointer(&key)) = key4(f)
		return key, 0
	}
	return key6(f), 1
}

// endsOf is the inverse.
func endsOf(key *bpfFlow6Key, ipv6 uint8) (client, vip netip.AddrPort) {
	if ipv6 == 0 {
		k := (*bpfFlow4Key)(unsafe.Pointer(key))
		return endOf4(k.Client, k.ClientPort), endOf4(k.Vip, k.VipPort)
	}
	return endOf6(key.Client, key.ClientPort), endOf6(key.Vip, key.VipPort)
}
