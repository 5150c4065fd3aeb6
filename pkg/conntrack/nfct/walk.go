// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"fmt"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
	"hafast/pkg/conntrack/record"
)

// walkBuffer is what the kernel writes at once at most, 32 KiB, and more.
const walkBuffer = 1 << 16

// Walk tells all entries, a part at a time: the kernel goes on as far as it is read,
// and one part ahead, and holds nothing meanwhile. An entry that stays is told at
// least once, or twice if others come and go near it.
type Walk struct {
	fd     int
	filter Filter
	// asked: the dump has been asked for. The kernel fills the first part before it
	// returns, for which it may have to look through a large and empty table.
	asked  bool
	buf    []byte
	report Report
}

// NewWalk opens a walk over the entries that the filter wants, in the calling thread's
// network namespace. The first Next begins it; NewWalk does not wait for the kernel.
func NewWalk(filter Filter) (*Walk, error) {
	fd, err := openSocket(walkBuffer * 2)
	if err != nil {
		return nil, err
	}
	w := &Walk{fd: fd, filter: filter, buf: make([]byte, walkBuffer)}
	if _, err := bind(fd, 0); err != nil {
		w.Close()
		return nil, fmt.Errorf("walk over connection tracking: %w", err)
	}
	return w, nil
}

// Close ends the walk, wherever it is.
func (w *Walk) Close() error { return unix.Close(w.fd) }

// Next calls each for the wanted ones of the next 100 or so entries; the entry is
// valid only meanwhile. more is false after the last of them. After an error the walk
// is over.
func (w *Walk) Next(each func(*record.Entry)) (more bool, err error) {
	if err := w.ask(); err != nil {
		return false, fmt.Errorf("walk over connection tracking: %w", err)
	}
	datagram, err := nlmsg.Receive(w.fd, w.buf)
	if err != nil {
		return false, fmt.Errorf("walk over connection tracking: %w", err)
	}
	for m := range nlmsg.Messages(datagram) {
		switch m.Type {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if err := m.Errno(); err != nil {
				return false, fmt.Errorf("walk over connection tracking: %w", err)
			}
			return false, nil
		}
		// What Decode does not understand is not wanted.
		if Decode(m, &w.report) == nil && w.filter.Wants(&w.report.Entry) {
			each(&w.report.Entry)
		}
	}
	return true, nil
}

// ask asks for the dump, once.
func (w *Walk) ask() error {
	if w.asked {
		return nil
	}
	w.asked = true
	var request nlmsg.Builder
	appendDump(&request, 1, !w.filter.Unassured)
	return send(w.fd, request.Bytes())
}
