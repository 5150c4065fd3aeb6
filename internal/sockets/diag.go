// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// diagByFamily is SOCK_DIAG_BY_FAMILY, the type of requests and answers.
const diagByFamily = unix.SOCK_DIAG_BY_FAMILY

// A mask of states has one bit for each (include/net/tcp_states.h; UDP sockets use
// two of the same).
const (
	listening   = 1 << unix.BPF_TCP_LISTEN
	unconnected = 1 << unix.BPF_TCP_CLOSE // UDP: bound, and anyone's datagrams are taken
	// open has no state before ESTABLISHED: a connection that is still being
	// made is nobody's yet. TIME_WAIT is over for both ends.
	open = 1<<unix.BPF_TCP_ESTABLISHED | 1<<unix.BPF_TCP_FIN_WAIT1 | 1<<unix.BPF_TCP_FIN_WAIT2 |
		1<<unix.BPF_TCP_CLOSE_WAIT | 1<<unix.BPF_TCP_LAST_ACK | 1<<unix.BPF_TCP_CLOSING
)

// diag is a request socket to the kernel's socket diagnostics. It belongs to one
// goroutine at a time.
type diag struct {
	fd  int
	seq uint32
	buf []byte
}

// openDiag opens the socket in the calling thread's network namespace, of which it
// then tells, whatever thread asks.
func openDiag() (*diag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open socket diagnostics: %w", err)
	}
	d := &diag{fd: fd, buf: make([]byte, 1<<16)}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind socket diagnostics: %w", err)
	}
	// Answers come as fast as they are read; the limit is for one that never comes.
	timeout := unix.NsecToTimeval(int64(2e9))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set timeout of socket diagnostics: %w", err)
	}
	return d, nil
}

func (d *diag) close() error { return unix.Close(d.fd) }

// dumpBoth calls each for the IPv4 and IPv6 sockets of a protocol in the states of
// the mask. A kernel without IPv6 has none of these.
func (d *diag) dumpBoth(protocol uint8, states uint32, each func(record)) error {
	if err := d.dump(unix.AF_INET, protocol, states, each); err != nil {
		return err
	}
	if err := d.dump(unix.AF_INET6, protocol, states, each); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// dump walks the kernel's tables bucket by bucket. A socket that stays is seen
// once, or seldom missed when others come and go in its bucket meanwhile.
func (d *diag) dump(family, protocol uint8, states uint32, each func(record)) error {
	d.seq++
	seq := d.seq
	var request nlmsg.Builder
	request.Begin(diagByFamily, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, seq,
		appendRequest(make([]byte, 0, sizeofRequest), family, protocol, states)...)
	request.End()
	if err := unix.Sendto(d.fd, request.Bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask socket diagnostics: %w", err)
	}
	var failure error
	for done := false; !done; {
		datagram, err := nlmsg.Receive(d.fd, d.buf)
		if err != nil {
			return fmt.Errorf("read socket diagnostics: %w", err)
		}
		for m := range nlmsg.Messages(datagram) {
			// What an earlier dump has left behind has its number.
			if m.Seq != seq || done {
				continue
			}
			switch m.Type {
			case unix.NLMSG_DONE:
				done = true
			case unix.NLMSG_ERROR:
				done, failure = true, m.Errno()
			case diagByFamily:
				if r, ok := parseRecord(m.Data); ok {
					each(r)
				}
			}
		}
	}
	if failure != nil {
		return fmt.Errorf("socket diagnostics: %w", failure)
	}
	return nil
}
