// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"math"
	"time"

	"hafast/pkg/conntrack/record"
)

// fields says which fields an entry's record has. A record is op << 14 | fields (2), the
// tuple of the key, and the fields that are there, in the order of their bits.
type fields uint16

const (
	fieldSix     fields = 1 << iota // addresses have 16 bytes, all of the record's
	fieldZone                       // 2
	fieldReply                      // a tuple; without it Reply is the inverse of the key's
	fieldStatus                     // 4
	fieldTimeout                    // 4, seconds
	fieldTCP                        // 5
	fieldMark                       // 4
	fieldLabels                     // 16
	fieldMaster                     // a tuple and its zone (2)

	allFields = fieldMaster<<1 - 1

	fieldsSize   = 2
	entryOpShift = 14
	// tupleRest is a tuple's size without its addresses: ports and protocol.
	tupleRest  = 5
	tcpSize    = 5
	labelsSize = 16

	// MaxTimeout is the longest Timeout that can be told of an entry.
	MaxTimeout = math.MaxUint32 * time.Second
)

// fieldsOf returns the fields that an entry needs.
func fieldsOf(op Op, e *record.Entry) fields {
	var f fields
	set := func(field fields, needed bool) {
		if needed {
			f |= field
		}
	}
	set(fieldZone, e.Key.Zone != 0)
	set(fieldSix, !tupleIs4(&e.Key.Tuple))
	if op == Delete {
		return f
	}
	set(fieldReply, e.Reply != inverse(e.Key.Tuple))
	set(fieldStatus, e.Status != 0)
	set(fieldTimeout, e.Timeout >= time.Second)
	set(fieldTCP, e.TCP != record.TCP{})
	set(fieldMark, e.Mark != 0)
	set(fieldLabels, e.Labels != [labelsSize]byte{})
	set(fieldMaster, e.Master != record.EntryKey{})
	set(fieldSix, f&fieldReply != 0 && !tupleIs4(&e.Reply) || f&fieldMaster != 0 && !tupleIs4(&e.Master.Tuple))
	return f
}

func tupleIs4(t *record.Tuple) bool { return is4(&t.Src) && is4(&t.Dst) }

// tupleSize is that of the record's tuples.
func (f fields) tupleSize() int {
	if f&fieldSix != 0 {
		return 2*addr6Size + tupleRest
	}
	return 2*addr4Size + tupleRest
}

// size is that of a record with these fields.
func (f fields) size() int {
	size := fieldsSize + f.tupleSize()
	if f&fieldZone != 0 {
		size += 2
	}
	if f&fieldReply != 0 {
		size += f.tupleSize()
	}
	if f&fieldStatus != 0 {
		size += 4
	}
	if f&fieldTimeout != 0 {
		size += 4
	}
	if f&fieldTCP != 0 {
		size += tcpSize
	}
	if f&fieldMark != 0 {
		size += 4
	}
	if f&fieldLabels != 0 {
		size += labelsSize
	}
	if f&fieldMaster != 0 {
		size += f.tupleSize() + 2
	}
	return size
}

func appendEntry(b []byte, op Op, f fields, e *record.Entry) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(op)<<entryOpShift|uint16(f))
	b = f.appendTuple(b, &e.Key.Tuple)
	if f&fieldZone != 0 {
		b = binary.BigEndian.AppendUint16(b, e.Key.Zone)
	}
	if f&fieldReply != 0 {
		b = f.appendTuple(b, &e.Reply)
	}
	if f&fieldStatus != 0 {
		b = binary.BigEndian.AppendUint32(b, e.Status)
	}
	if f&fieldTimeout != 0 {
		b = binary.BigEndian.AppendUint32(b, uint32(min(e.Timeout, MaxTimeout)/time.Second))
	}
	if f&fieldTCP != 0 {
		b = append(b, e.TCP.State, e.TCP.ScaleOriginal, e.TCP.ScaleReply, e.TCP.FlagsOriginal, e.TCP.FlagsReply)
	}
	if f&fieldMark != 0 {
		b = binary.BigEndian.AppendUint32(b, e.Mark)
	}
	if f&fieldLabels != 0 {
		b = append(b, e.Labels[:]...)
	}
	if f&fieldMaster != 0 {
		b = f.appendTuple(b, &e.Master.Tuple)
		b = binary.BigEndian.AppendUint16(b, e.Master.Zone)
	}
	return b
}

func (f fields) appendTuple(b []byte, t *record.Tuple) []byte {
	from := addr6Size - addr4Size
	if f&fieldSix != 0 {
		from = 0
	}
	b = append(b, t.Src[from:]...)
	b = append(b, t.Dst[from:]...)
	b = binary.BigEndian.AppendUint16(b, t.SrcPort)
	b = binary.BigEndian.AppendUint16(b, t.DstPort)
	return append(b, t.Proto)
}

// nextEntry returns the op and the fields of the first record, and its size.
func nextEntry(b []byte) (Op, fields, int, error) {
	if len(b) < fieldsSize {
		return 0, 0, 0, errSize
	}
	word := binary.BigEndian.Uint16(b)
	op, f := Op(word>>entryOpShift), fields(word)&^(3<<entryOpShift)
	switch {
	case !op.valid():
		return 0, 0, 0, errOp
	case f&^allFields != 0:
		return 0, 0, 0, errFields
	case len(b) < f.size():
		return 0, 0, 0, errSize
	}
	return op, f, f.size(), nil
}

// checkEntries checks a group of entries and counts them.
func checkEntries(body []byte) (count int, err error) {
	for len(body) > 0 {
		_, _, size, err := nextEntry(body)
		if err != nil {
			return 0, err
		}
		body = body[size:]
		count++
	}
	return count, nil
}

// eachEntry hands over the records of a group that has been checked.
func eachEntry(body []byte, h Handler) {
	// They may be kept: one piece of memory for all of them costs the least.
	count, _ := checkEntries(body)
	entries := make([]record.Entry, count)
	for i := range entries {
		op, f, size, _ := nextEntry(body)
		decodeEntry(body[:size], op, f, &entries[i])
		h.Entry(op, &entries[i])
		body = body[size:]
	}
}

func decodeEntry(b []byte, op Op, f fields, e *record.Entry) {
	r := entryReader{fields: f, rest: b[fieldsSize:]}
	e.Key.Tuple = r.tuple()
	if f&fieldZone != 0 {
		e.Key.Zone = r.uint16()
	}
	if op == Delete {
		return
	}
	if f&fieldReply != 0 {
		e.Reply = r.tuple()
	} else {
		e.Reply = inverse(e.Key.Tuple)
	}
	if f&fieldStatus != 0 {
		e.Status = r.uint32()
	}
	if f&fieldTimeout != 0 {
		e.Timeout = time.Duration(r.uint32()) * time.Second
	}
	if f&fieldTCP != 0 {
		t := r.take(tcpSize)
		e.TCP = record.TCP{State: t[0], ScaleOriginal: t[1], ScaleReply: t[2], FlagsOriginal: t[3], FlagsReply: t[4]}
	}
	if f&fieldMark != 0 {
		e.Mark = r.uint32()
	}
	if f&fieldLabels != 0 {
		e.Labels = [labelsSize]byte(r.take(labelsSize))
	}
	if f&fieldMaster != 0 {
		e.Master.Tuple = r.tuple()
		e.Master.Zone = r.uint16()
	}
}

// entryReader takes fields off a record that has been checked.
type entryReader struct {
	fields fields
	rest   []byte
}

func (r *entryReader) take(n int) []byte {
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *entryReader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *entryReader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }

func (r *entryReader) address() record.Address {
	if r.fields&fieldSix != 0 {
		return record.Address(r.take(addr6Size))
	}
	return address4(r.take(addr4Size))
}

func (r *entryReader) tuple() record.Tuple {
	return record.Tuple{
		Src: r.address(), Dst: r.address(), SrcPort: r.uint16(), DstPort: r.uint16(), Proto: r.take(1)[0],
	}
}
