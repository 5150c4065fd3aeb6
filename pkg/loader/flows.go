// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/cilium/ebpf"
)

// batch is how many entries are read or written by one system call, unless somebody may
// be waiting.
const batch = 4096

// Flows iterates over all flows, while packets go on changing them: a flow that is
// there all the time is seen exactly once. An error ends the iteration.
func (d *DataPath) Flows() iter.Seq2[Flow, error] {
	return func(yield func(Flow, error) bool) {
		walk, flows := d.Walk(), make([]Flow, batch)
		for {
			n, err := walk.Next(flows)
			for _, f := range flows[:n] {
				if !yield(f, nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Flow{}, err)
				return
			}
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

// PutFlows writes flows into the tables, over what is there. If one makes no sense,
// none is written.
func (d *DataPath) PutFlows(flows []Flow) error {
	now, err := d.ticks.now()
	if err != nil {
		return err
	}
	var tcp4, udp4 entries[bpfFlow4Key]
	var tcp6, udp6 entries[bpfFlow6Key]
	for i := range flows {
		f := &flows[i]
		if !f.sensible() {
			return fmt.Errorf("put flows: no such flow: %v to %v, place %d", f.Client, f.VIP, f.Place)
		}
		four, six := &tcp4, &tcp6
		if f.Proto == UDP {
			four, six = &udp4, &udp6
		}
		if value := d.value(f, now); f.VIP.Addr().Unmap().Is4() {
			four.add(key4(f), value)
		} else {
			six.add(key6(f), value)
		}
	}
	err = errors.Join(tcp4.put(d.maps.Tcp4), udp4.put(d.maps.Udp4), tcp6.put(d.maps.Tcp6), udp6.put(d.maps.Udp6))
	if err != nil {
		return fmt.Errorf("put flows: %w", err)
	}
	return nil
}
