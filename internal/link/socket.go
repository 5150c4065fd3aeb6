// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// batchSize is how many requests go into one sendmsg. The kernel answers each
// failed request with a datagram of its own before sendmsg returns, about 0.8
// KiB of receive buffer each; 128 of them stay within the default 208 KiB.
const batchSize = 128

// errInterrupted says that a dump raced with a change and is to be repeated.
var errInterrupted = errors.New("dump interrupted by a change")

// socket is a request socket to one netlink protocol. It is safe for concurrent
// use; requests are served one after another.
type socket struct {
	mu  sync.Mutex
	fd  int
	out requests
	buf []byte
}

// openSocket opens a request socket in the calling thread's network namespace.
func openSocket(protocol int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	s := &socket{fd: fd, buf: make([]byte, 1<<16)}
	if err := s.setUp(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return s, nil
}

func (s *socket) setUp() error {
	if err := unix.Bind(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("bind netlink socket: %w", err)
	}
	// The kernel answers within the request's own sendmsg; the timeout is for
	// answers lost to a full buffer, which would otherwise hang the caller.
	timeout := unix.NsecToTimeval(int64(2e9))
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return fmt.Errorf("set netlink timeout: %w", err)
	}
	// Both options are improvements only: errors without an echo of the request
	// (Linux 4.3), and dumps filtered by the kernel (Linux 4.20).
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return nil
}

func (s *socket) close() error { return unix.Close(s.fd) }

// batch sends n requests, several to a sendmsg, and returns one error per request,
// nil where it succeeded. write writes the one request that has an index.
//
// Only the last request of each datagram asks for an acknowledgement: the kernel
// reports failures unasked and handles requests in order, so the last answer
// ends the datagram, and a thousand successes cost eight answers.
func (s *socket) batch(n int, write func(r *requests, index int)) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]error, n)
	for start := 0; start < n; start += batchSize {
		end := min(start+batchSize, n)
		s.out.Reset()
		for i := start; i < end; i++ {
			write(&s.out, i)
		}
		s.exchange(results[start:end])
	}
	return results
}

// exchange sends one datagram of requests and fills in their results.
func (s *socket) exchange(results []error) {
	last := s.out.seq
	first := last - uint32(len(results)) + 1
	fail := func(err error) {
		for i := range results {
			if results[i] == nil {
				results[i] = err
			}
		}
	}
	s.out.AddFlags(unix.NLM_F_ACK)
	if err := s.send(); err != nil {
		fail(err)
		return
	}
	for done := false; !done; {
		datagram, err := s.receive()
		if err != nil {
			fail(err)
			return
		}
		for m := range nlmsg.Messages(datagram) {
			index := m.Seq - first
			if m.Type != unix.NLMSG_ERROR || index >= uint32(len(results)) {
				continue
			}
			results[index] = m.Errno()
			done = done || m.Seq == last
		}
	}
}

// query sends the one request that write writes, and calls each for every message
// of the answer, be it a dump or a single object. The message's data is valid only
// during the call.
func (s *socket) query(write func(*requests), each func(nlmsg.Message)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Reset()
	write(&s.out)
	if err := s.send(); err != nil {
		return err
	}
	var failure error
	for done := false; !done; {
		datagram, err := s.receive()
		if err != nil {
			return err
		}
		for m := range nlmsg.Messages(datagram) {
			if m.Seq != s.out.seq || done {
				continue
			}
			if m.Flags&unix.NLM_F_DUMP_INTR != 0 {
				failure = errInterrupted
			}
			switch m.Type {
			case unix.NLMSG_DONE:
				done = true
			case unix.NLMSG_ERROR:
				if err := m.Errno(); err != nil {
					failure = err
				}
				done = true
			default:
				each(m)
				done = m.Flags&unix.NLM_F_MULTI == 0
			}
		}
	}
	return failure
}

// send sends the requests that have been written.
func (s *socket) send() error {
	if err := unix.Sendto(s.fd, s.out.Bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send to netlink: %w", err)
	}
	return nil
}

// receive reads one datagram from the kernel, valid until the next.
func (s *socket) receive() ([]byte, error) {
	datagram, err := nlmsg.Receive(s.fd, s.buf)
	if err != nil {
		return nil, fmt.Errorf("receive from netlink: %w", err)
	}
	return datagram, nil
}
