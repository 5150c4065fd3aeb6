package kernel

import (
	"context"
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
	buf    []byte
	report Report
}

// NewWalk begins a walk over the entries that the filter wants, in the calling
// thread's network namespace.
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
	var request nlmsg.Builder
	appendDump(&request, 1, !filter.Unassured)
	if err := send(fd, request.Bytes()); err != nil {
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

// Dump calls each for all entries that the filter wants. See Walk.
func Dump(ctx context.Context, filter Filter, each func(*record.Entry)) error {
	w, err := NewWalk(filter)
	if err != nil {
		return err
	}
	defer w.Close()
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more, err = w.Next(each); err != nil {
			return err
		}
	}
	return nil
}
