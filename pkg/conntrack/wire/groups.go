// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What can be wrong with a group.
var (
	errSize   = errors.New("size")
	errOp     = errors.New("op")
	errTarget = errors.New("target")
	errTable  = errors.New("table")
	errScope  = errors.New("scope")
	errFields = errors.New("fields")
)

func (op Op) valid() bool { return op >= Set && op <= Audit }

func (t Table) known() bool { return t == Flows || t == Entries }

// DecodeGroups hands over what the groups of a batch say. All of them are checked
// before h is called for the first time: after an error, which wraps RejectBody, it has
// not been. Groups of a type that this version does not know are passed over; unknown is
// how many.
func DecodeGroups(groups []byte, h Handler) (unknown int, err error) {
	for rest := groups; len(rest) > 0; {
		kind, body, size, err := nextGroup(rest)
		if err == nil {
			err = checkGroup(kind, body)
		}
		if err != nil {
			return 0, fmt.Errorf("%w: group of type %d: %w", RejectBody, kind, err)
		}
		rest = rest[size:]
	}
	for rest := groups; len(rest) > 0; {
		kind, body, size, _ := nextGroup(rest)
		if !handleGroup(kind, body, h) {
			unknown++
		}
		rest = rest[size:]
	}
	return unknown, nil
}

// nextGroup returns the first group, and its size with its header.
func nextGroup(b []byte) (kind group, body []byte, size int, err error) {
	if len(b) < groupHeaderSize {
		return 0, nil, 0, errSize
	}
	kind, size = group(b[0]), groupHeaderSize+int(binary.BigEndian.Uint16(b[2:]))
	if len(b) < size {
		return kind, nil, 0, errSize
	}
	return kind, b[groupHeaderSize:size], size, nil
}

func checkGroup(kind group, body []byte) error {
	switch kind {
	case groupFlows4:
		return checkFlows(body, flow4Size)
	case groupFlows6:
		return checkFlows(body, flow6Size)
	case groupEntries:
		_, err := checkEntries(body)
		return err
	case groupBegin:
		return checkBegin(body)
	case groupEnd:
		return checkEnd(body)
	}
	return nil
}

// handleGroup hands over a group that has been checked; it returns false for one that
// this version does not know.
func handleGroup(kind group, body []byte, h Handler) bool {
	switch kind {
	case groupFlows4:
		eachFlow(body, flow4Size, h)
	case groupFlows6:
		eachFlow(body, flow6Size, h)
	case groupEntries:
		eachEntry(body, h)
	case groupBegin:
		h.Begin(decodeBegin(body))
	case groupEnd:
		h.End(decodeEnd(body))
	default:
		return false
	}
	return true
}
