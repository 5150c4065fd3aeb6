package link

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
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
	seq uint32
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

// batch sends the requests several to a sendmsg and returns one error per
// request, nil where it succeeded.
//
// Only the last request of each datagram asks for an acknowledgement: the kernel
// reports failures unasked and handles requests in order, so the last answer
// ends the datagram, and a thousand successes cost eight answers.
func (s *socket) batch(requests []message) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]error, len(requests))
	for start := 0; start < len(requests); start += batchSize {
		end := min(start+batchSize, len(requests))
		s.exchange(requests[start:end], results[start:end])
	}
	return results
}

// exchange sends one datagram of requests and fills in their results.
func (s *socket) exchange(requests []message, results []error) {
	var datagram []byte
	first := s.seq + 1
	for i, m := range requests {
		s.seq++
		m.finish(s.seq)
		if i == len(requests)-1 {
			m.addFlags(unix.NLM_F_ACK)
		}
		datagram = append(datagram, m...)
	}
	last := s.seq
	fail := func(err error) {
		for i := range results {
			if results[i] == nil {
				results[i] = err
			}
		}
	}
	if err := unix.Sendto(s.fd, datagram, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		fail(fmt.Errorf("send to netlink: %w", err))
		return
	}
	for done := false; !done; {
		err := s.receive(func(r reply) {
			index := r.seq - first
			if r.typ != unix.NLMSG_ERROR || index >= uint32(len(results)) {
				return
			}
			results[index] = r.errno()
			done = done || r.seq == last
		})
		if err != nil {
			fail(fmt.Errorf("receive from netlink: %w", err))
			return
		}
	}
}

// query sends one request and calls each for every message of the answer, be it
// a dump or a single object. The reply's data is valid only during the call.
func (s *socket) query(request message, each func(reply)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	request.finish(s.seq)
	if err := unix.Sendto(s.fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send to netlink: %w", err)
	}
	var failure error
	for done := false; !done; {
		err := s.receive(func(r reply) {
			if r.seq != s.seq || done {
				return
			}
			if r.flags&unix.NLM_F_DUMP_INTR != 0 {
				failure = errInterrupted
			}
			switch r.typ {
			case unix.NLMSG_DONE:
				done = true
			case unix.NLMSG_ERROR:
				if err := r.errno(); err != nil {
					failure = err
				}
				done = true
			default:
				each(r)
				done = r.flags&unix.NLM_F_MULTI == 0
			}
		})
		if err != nil {
			return fmt.Errorf("receive from netlink: %w", err)
		}
	}
	return failure
}

// receive reads one datagram from the kernel.
func (s *socket) receive(each func(reply)) error {
	for {
		n, from, err := unix.Recvfrom(s.fd, s.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		// Another process may send to our port; only the kernel is port 0.
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue
		}
		splitReplies(s.buf[:n], each)
		return nil
	}
}
