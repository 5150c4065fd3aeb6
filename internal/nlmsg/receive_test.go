// SPDX-License-Identifier: Apache-2.0

package nlmsg_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
	"hafast/internal/nlmsg"
)

// open returns a non-blocking rtnetlink socket and its port.
func open(t *testing.T) (fd int, port uint32) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, name.(*unix.SockaddrNetlink).Pid
}

// send asks whoever has the port, 0 being the kernel, for something harmless and an
// acknowledgement. The kernel has answered when it returns.
func send(t *testing.T, fd int, to, seq uint32) {
	t.Helper()
	var b nlmsg.Builder
	b.Begin(unix.NLMSG_NOOP, unix.NLM_F_REQUEST|unix.NLM_F_ACK, seq)
	b.End()
	if err := unix.Sendto(fd, b.Bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: to}); err != nil {
		t.Fatalf("send to port %d: %v", to, err)
	}
}

// acknowledged expects the kernel's answer of that number.
func acknowledged(t *testing.T, fd int, buf []byte, port, seq uint32) {
	t.Helper()
	datagram, err := nlmsg.Receive(fd, buf)
	if err != nil {
		t.Fatalf("answer %d: %v", seq, err)
	}
	n := 0
	for m := range nlmsg.Messages(datagram) {
		n++
		if m.Type != unix.NLMSG_ERROR || m.Seq != seq || m.Port != port || m.Errno() != nil {
			t.Errorf("got %+v, want an acknowledgement of %d to port %d", m, seq, port)
		}
	}
	if n != 1 {
		t.Errorf("%d messages, want one", n)
	}
}

func TestReceive(t *testing.T) {
	nstest.Enter(t)
	fd, port := open(t)
	buf := make([]byte, 1<<12)

	if _, err := nlmsg.Receive(fd, buf); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("nothing there: %v, want EAGAIN", err)
	}

	send(t, fd, 0, 1)
	acknowledged(t, fd, buf, port, 1)

	stranger, _ := open(t)
	send(t, stranger, port, 2)
	send(t, fd, 0, 3)
	acknowledged(t, fd, buf, port, 3)

	for _, small := range [][]byte{make([]byte, 8), {}} {
		send(t, fd, 0, 4)
		send(t, fd, 0, 5)
		if got, err := nlmsg.Receive(fd, small); !errors.Is(err, nlmsg.ErrTruncated) || got != nil {
			t.Errorf("buffer of %d bytes: %v, want ErrTruncated", len(small), err)
		}
		acknowledged(t, fd, buf, port, 5)
	}

	if _, err := nlmsg.Receive(-1, buf); !errors.Is(err, unix.EBADF) {
		t.Errorf("no socket: %v, want EBADF", err)
	}
}

func TestReceiveAfterOverrun(t *testing.T) {
	nstest.Enter(t)
	fd, port := open(t)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0); err != nil { // the least there is
		t.Fatal(err)
	}
	const sent = 1000
	for seq := range uint32(sent) {
		send(t, fd, 0, seq)
	}
	buf := make([]byte, 1<<12)
	if _, err := nlmsg.Receive(fd, buf); !errors.Is(err, unix.ENOBUFS) {
		t.Fatalf("after an overrun: %v, want ENOBUFS", err)
	}
	answers := 0
	for {
		_, err := nlmsg.Receive(fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatalf("behind the overrun: %v", err)
		}
		answers++
	}
	if answers == 0 || answers >= sent {
		t.Errorf("%d of %d answers are left, want some", answers, sent)
	}
	send(t, fd, 0, sent)
	acknowledged(t, fd, buf, port, sent)
}

func TestReceiveAllocatesNothing(t *testing.T) {
	nstest.Enter(t)
	fd, _ := open(t)
	const runs = 50
	for seq := range uint32(runs + 1) { // and one to warm up
		send(t, fd, 0, seq)
	}
	buf := make([]byte, 1<<12)
	allocs := testing.AllocsPerRun(runs, func() {
		if _, err := nlmsg.Receive(fd, buf); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for a datagram", allocs)
	}
}
