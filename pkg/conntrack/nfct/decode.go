// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
	"hafast/pkg/conntrack/record"
)

// Kind is what a message tells of an entry.
type Kind uint8

// The kinds. A message of a dump or an answer to a request has Changed.
const (
	Created Kind = iota
	Changed
	Destroyed
)

// Fields are the parts of an entry that a message has told. A dump and an answer tell
// all there is, so that what is missing is zero. An event tells what has changed, and
// always Key, Reply, Status, Mark if it is not zero, and Timeout. Of what is Destroyed,
// older kernels than Linux 6.18 tell less, as little as Key and Reply.
type Fields uint8

// The fields.
const (
	HasReply Fields = 1 << iota
	HasStatus
	HasTimeout
	HasTCP
	HasMark
	HasLabels
	HasMaster
)

// Report is a decoded message.
type Report struct {
	Kind Kind
	// Port is the netlink port of who made the change; 0 if a packet or the time did.
	Port   uint32
	Entry  record.Entry
	Fields Fields
}

// Errors of Decode.
var (
	// ErrMalformed: no conntrack message, or one without a whole original direction.
	ErrMalformed = errors.New("malformed conntrack message")
	// ErrZone: the entry's zone is that of one direction alone, for which record.EntryKey
	// has no room.
	ErrZone = errors.New("zone of one direction alone")
)

// Decode reads a message of the kernel's into r, all of which it overwrites. It
// allocates nothing. Errors: ErrMalformed, ErrZone.
func Decode(m nlmsg.Message, r *Report) error {
	*r = Report{Port: m.Port}
	switch {
	case m.Type == typeDelete:
		r.Kind = Destroyed
	case m.Type != typeNew:
		return ErrMalformed
	case m.Flags&unix.NLM_F_CREATE == 0:
		r.Kind = Changed
	}
	if len(m.Data) < sizeofGenMsg {
		return ErrMalformed
	}
	return r.decode(m.Data[sizeofGenMsg:])
}

func (r *Report) decode(b []byte) error {
	e := &r.Entry
	var key, directional bool
	for typ, value := range nlmsg.Attrs(b) {
		var zoned, ok bool
		switch typ {
		case ctaTupleOrig:
			zoned, key = decodeTuple(value, &e.Key.Tuple)
		case ctaTupleReply:
			zoned, ok = decodeTuple(value, &e.Reply)
			r.has(HasReply, ok)
		case ctaZone:
			if len(value) == 2 {
				e.Key.Zone = binary.BigEndian.Uint16(value)
			}
		case ctaTupleMaster:
			_, ok = decodeTuple(value, &e.Master.Tuple)
			r.has(HasMaster, ok)
		case ctaProtoInfo:
			r.has(HasTCP, decodeTCP(value, &e.TCP))
		case ctaLabels:
			// The kernel may have fewer than 128 bits.
			copy(e.Labels[:], value)
			r.has(HasLabels, true)
		case ctaStatus, ctaTimeout, ctaMark:
			if len(value) == 4 {
				r.number(typ, binary.BigEndian.Uint32(value))
			}
		}
		directional = directional || zoned
	}
	switch {
	case directional:
		return ErrZone
	case !key:
		return ErrMalformed
	}
	if r.Fields&HasMaster != 0 {
		// Masters have no zone of their own: theirs is that of the entry.
		e.Master.Zone = e.Key.Zone
	}
	return nil
}

func (r *Report) number(typ uint16, value uint32) {
	switch typ {
	case ctaStatus:
		r.Entry.Status = value
		r.has(HasStatus, true)
	case ctaTimeout:
		r.Entry.Timeout = time.Duration(value) * time.Second
		r.has(HasTimeout, true)
	case ctaMark:
		r.Entry.Mark = value
		r.has(HasMark, true)
	}
}

func (r *Report) has(f Fields, ok bool) {
	if ok {
		r.Fields |= f
	}
}

// decodeTCP reads a CTA_PROTOINFO. Of a destroyed entry the kernel tells the state
// alone.
func decodeTCP(b []byte, t *record.TCP) (ok bool) {
	for typ, info := range nlmsg.Attrs(b) {
		if typ != ctaProtoInfoTCP {
			continue
		}
		for typ, value := range nlmsg.Attrs(info) {
			if len(value) == 0 {
				continue
			}
			switch typ {
			case ctaTCPState:
				t.State, ok = value[0], true
			case ctaTCPScaleOrig:
				t.ScaleOriginal = value[0]
			case ctaTCPScaleReply:
				t.ScaleReply = value[0]
			case ctaTCPFlagsOrig:
				t.FlagsOriginal = value[0]
			case ctaTCPFlagsReply:
				t.FlagsReply = value[0]
			}
		}
	}
	return ok
}
