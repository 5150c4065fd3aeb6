// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// TrafficClass is who has got packets.
type TrafficClass uint8

// The classes.
const (
	TrafficLocal  TrafficClass = iota // this host's haproxy
	TrafficPeer                       // a peer's
	TrafficNobody                     // this host's stack: the target is dead, or there is none
)

// String is the label in the metrics.
func (c TrafficClass) String() string {
	return [...]string{TrafficLocal: "local", TrafficPeer: "peer", TrafficNobody: "nobody"}[c]
}

// OtherServices as a service's number: all from TrafficServices on, together.
const OtherServices = TrafficServices

// ServiceTraffic is what one target has got of a service's packets, ICMP errors about
// its flows among them, since this process has opened the data path.
type ServiceTraffic struct {
	Service int // its number (Service.ID), or OtherServices
	Class   TrafficClass
	Place   int // of the target; of TrafficNobody 0
	Packets uint64
	Bytes   uint64 // of whole frames
}

// Traffic lists what there has been, by service and target. It counts packets where they
// arrive first: those that a peer has sent on are counted there.
func (d *DataPath) Traffic() ([]ServiceTraffic, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("read traffic: %w", err)
	}
	const some = 256
	var (
		list   []ServiceTraffic
		cursor ebpf.MapBatchCursor
		keys   = make([]uint32, some)
		values = make([]bpfTraffic, some*cpus)
		self   = d.Self()
	)
	for {
		n, err := d.maps.Traffics.BatchLookup(&cursor, keys, values, nil)
		if errors.Is(err, ebpf.ErrNotSupported) {
			return d.trafficOneByOne(cpus) // before Linux 5.13
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil, fmt.Errorf("read traffic: %w", err)
		}
		for i, service := range keys[:n] {
			sum := addUp(values[i*cpus:][:cpus])
			list = appendTraffic(list, int(service), self, &sum)
		}
		if err != nil { // that was the last one
			return list, nil
		}
	}
}

// trafficOneByOne is Traffic by a system call for each service.
func (d *DataPath) trafficOneByOne(cpus int) (list []ServiceTraffic, err error) {
	values := make([]bpfTraffic, cpus)
	self := d.Self()
	for service := range uint32(TrafficServices + 1) {
		if err := d.maps.Traffics.Lookup(service, values); err != nil {
			return nil, fmt.Errorf("read traffic: %w", err)
		}
		sum := addUp(values)
		list = appendTraffic(list, int(service), self, &sum)
	}
	return list, nil
}

// addUp sums over the processors.
func addUp(each []bpfTraffic) (sum bpfTraffic) {
	for i := range each {
		for place := range sum.Target {
			sum.Target[place].Packets += each[i].Target[place].Packets
			sum.Target[place].Bytes += each[i].Target[place].Bytes
		}
		sum.Nobody.Packets += each[i].Nobody.Packets
		sum.Nobody.Bytes += each[i].Nobody.Bytes
	}
	return sum
}

// appendTraffic leaves out what there was none of.
func appendTraffic(list []ServiceTraffic, service, self int, t *bpfTraffic) []ServiceTraffic {
	for place := range t.Target {
		if n := &t.Target[place]; n.Packets != 0 {
			class := TrafficPeer
			if place == self {
				class = TrafficLocal
			}
			list = append(list, ServiceTraffic{service, class, place, n.Packets, n.Bytes})
		}
	}
	if n := &t.Nobody; n.Packets != 0 {
		list = append(list, ServiceTraffic{service, TrafficNobody, 0, n.Packets, n.Bytes})
	}
	return list
}
