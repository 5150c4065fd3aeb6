// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"math"
	"time"

	"hafast/pkg/conntrack/record"
)

// A group of flows is a count of targets (1), their addresses (16 each), and records,
// which are alike but for the size of the addresses:
//
//	IPv4  IPv6
//	 0 4   0 16  client
//	 4 4  16 16  VIP
//	 8 2  32  2  client's port
//	10 2  34  2  VIP's port
//	12 2  36  2  idle, in seconds, 65535 at most
//	14 1  38  1  op << 6 | closing << 5 | place of the target in the table
//	15 1  39  1  IP protocol
const (
	addr4Size = 4
	addr6Size = 16
	// flowRest is a flow's size without its addresses.
	flowRest  = 8
	flow4Size = 2*addr4Size + flowRest
	flow6Size = 2*addr6Size + flowRest

	targetCountSize = 1
	// maxTargets of a group.
	maxTargets = 1 << 5

	opShift     = 6
	closingFlag = 1 << 5
	targetMask  = maxTargets - 1

	// MaxIdle is the longest Idle that can be told of a flow.
	MaxIdle = math.MaxUint16 * time.Second
)

// Flow writes a change of a flow. It returns false, having done nothing, if there is no
// room left. Of a Delete only the key goes.
func (w *BatchWriter) Flow(op Op, f record.Flow) bool {
	g, size := groupFlows6, flow6Size
	if is4(&f.Key.Client) && is4(&f.Key.VIP) {
		g, size = groupFlows4, flow4Size
	}
	if op == Delete {
		f = record.Flow{Key: f.Key}
	}
	added := w.open != g
	known := op == Delete
	if !added && !known {
		if known = w.hasTarget(&f.Target); !known {
			added = len(w.targets) == maxTargets
		}
	}
	need := size
	if added {
		need += groupHeaderSize + targetCountSize
	}
	if !known {
		need += addr6Size
	}
	if len(w.buf)+need > w.size {
		return false
	}
	if added {
		w.beginFlows(g)
	}
	if !known {
		w.addTarget(&f.Target)
	}
	w.appendFlow(g, op, &f)
	w.done()
	return true
}

// hasTarget looks for a target in the open group's table, and remembers its place.
func (w *BatchWriter) hasTarget(a *record.Address) bool {
	if w.target < len(w.targets) && w.targets[w.target] == *a {
		return true
	}
	for i := range w.targets {
		if w.targets[i] == *a {
			w.target = i
			return true
		}
	}
	return false
}

func (w *BatchWriter) beginFlows(g group) {
	w.open = 0 // a full table has another group of the same kind begin
	w.begin(g)
	w.buf = append(w.buf, 0)
	w.targets, w.target = w.targets[:0], 0
}

// addTarget puts a target at the end of the open group's table, in front of its records.
func (w *BatchWriter) addTarget(a *record.Address) {
	count := w.start + groupHeaderSize
	at := count + targetCountSize + len(w.targets)*addr6Size
	w.buf = append(w.buf, a[:]...)
	copy(w.buf[at+addr6Size:], w.buf[at:])
	copy(w.buf[at:], a[:])
	w.target = len(w.targets)
	w.targets = append(w.targets, *a)
	w.buf[count]++
}

func (w *BatchWriter) appendFlow(g group, op Op, f *record.Flow) {
	how := byte(op) << opShift
	if op != Delete {
		how |= byte(w.target)
	}
	if f.Closing {
		how |= closingFlag
	}
	rest := uint64(f.Key.ClientPort)<<48 | uint64(f.Key.VIPPort)<<32 |
		uint64(idleSeconds(f.Idle))<<16 | uint64(how)<<8 | uint64(f.Key.Proto)
	at := len(w.buf)
	if g == groupFlows4 {
		w.buf = w.buf[:at+flow4Size]
		b := w.buf[at : at+flow4Size]
		copy(b[:addr4Size], f.Key.Client[addr6Size-addr4Size:])
		copy(b[addr4Size:2*addr4Size], f.Key.VIP[addr6Size-addr4Size:])
		binary.BigEndian.PutUint64(b[2*addr4Size:], rest)
		return
	}
	w.buf = w.buf[:at+flow6Size]
	b := w.buf[at : at+flow6Size]
	copy(b[:addr6Size], f.Key.Client[:])
	copy(b[addr6Size:2*addr6Size], f.Key.VIP[:])
	binary.BigEndian.PutUint64(b[2*addr6Size:], rest)
}

func idleSeconds(d time.Duration) uint16 { return uint16(min(max(d, 0), MaxIdle) / time.Second) }

// checkFlows checks a group of flows, whose records have this size.
func checkFlows(body []byte, size int) error {
	targets, records, ok := splitFlows(body)
	if !ok || len(records)%size != 0 {
		return errSize
	}
	count := len(targets) / addr6Size
	for b := records; len(b) > 0; b = b[size:] {
		how := b[size-2]
		op := Op(how >> opShift)
		if !op.valid() {
			return errOp
		}
		if op != Delete && int(how&targetMask) >= count {
			return errTarget
		}
	}
	return nil
}

// splitFlows takes a group of flows apart.
func splitFlows(body []byte) (targets, records []byte, ok bool) {
	if len(body) < targetCountSize {
		return nil, nil, false
	}
	n := int(body[0]) * addr6Size
	body = body[targetCountSize:]
	if n > len(body) {
		return nil, nil, false
	}
	return body[:n], body[n:], true
}

// eachFlow hands over the records of a group that has been checked.
func eachFlow(body []byte, size int, h Handler) {
	targets, records, _ := splitFlows(body)
	var f record.Flow
	for b := records; len(b) >= size; b = b[size:] {
		if size == flow4Size {
			f.Key.Client = address4(b[:addr4Size])
			f.Key.VIP = address4(b[addr4Size : 2*addr4Size])
		} else {
			copy(f.Key.Client[:], b[:addr6Size])
			copy(f.Key.VIP[:], b[addr6Size:2*addr6Size])
		}
		rest := binary.BigEndian.Uint64(b[size-flowRest : size])
		how := byte(rest >> 8)
		op := Op(how >> opShift)
		f.Key.ClientPort, f.Key.VIPPort, f.Key.Proto = uint16(rest>>48), uint16(rest>>32), uint8(rest)
		if op == Delete {
			h.Flow(op, record.Flow{Key: f.Key})
			continue
		}
		f.Target = record.Address(targets[int(how&targetMask)*addr6Size:])
		f.Closing = how&closingFlag != 0
		f.Idle = time.Duration(uint16(rest>>16)) * time.Second
		h.Flow(op, f)
	}
}
