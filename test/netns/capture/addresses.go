// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Addresses records when IPv4 addresses appear on a host, as the kernel tells it over
// netlink. A notification is read some time after the address is in place, never
// before. There is none for IPv6 at the right time: without duplicate address
// detection the kernel leaves it to a work queue.
type Addresses struct {
	fd     int
	closed atomic.Bool
	done   chan struct{}

	mu   sync.Mutex
	seen []appearance
}

type appearance struct {
	addr netip.Addr
	at   time.Time
}

const (
	// watchPriority is above that of the daemons under test, which would otherwise
	// keep the reader waiting until they have announced.
	watchPriority = 60
	// closePause is how often the reader looks whether it is to end.
	closePause = 50 * time.Millisecond
)

// WatchAddresses starts to listen for IPv4 addresses in the host.
func WatchAddresses(h Host) (*Addresses, error) {
	a := &Addresses{done: make(chan struct{})}
	if err := h.Do(a.open); err != nil {
		return nil, fmt.Errorf("watch addresses: %w", err)
	}
	ready := make(chan error)
	go func() {
		defer close(a.done)
		// A blocking read on a thread of its own: the poller's would be one more
		// thread to wait for. The thread ends with the goroutine.
		runtime.LockOSThread()
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: watchPriority}
		if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
			ready <- err
			return
		}
		close(ready)
		a.run()
	}()
	if err := <-ready; err != nil {
		unix.Close(a.fd)
		return nil, fmt.Errorf("watch addresses: %w", err)
	}
	return a, nil
}

func (a *Addresses) open() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	pause := unix.NsecToTimeval(closePause.Nanoseconds())
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &pause),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR}),
	)
	if err != nil {
		unix.Close(fd)
		return err
	}
	a.fd = fd
	return nil
}

// Close stops the watch.
func (a *Addresses) Close() error {
	a.closed.Store(true)
	<-a.done
	return unix.Close(a.fd)
}

// Appeared returns when the address was first seen to be added to a link after that
// moment; false if it has not been.
func (a *Addresses) Appeared(addr netip.Addr, start time.Time) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.seen {
		if s.addr == addr && s.at.After(start) {
			return s.at, true
		}
	}
	return time.Time{}, false
}

func (a *Addresses) run() {
	buf := make([]byte, 1<<16)
	for !a.closed.Load() {
		n, _, err := unix.Recvfrom(a.fd, buf, 0)
		// The wall clock alone, which frames are stamped by.
		at := time.Now().Round(0)
		if err != nil {
			continue // nothing new, or more than the queue could hold
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			continue
		}
		for _, m := range messages {
			a.note(m, at)
		}
	}
}

func (a *Addresses) note(m syscall.NetlinkMessage, at time.Time) {
	if m.Header.Type != unix.RTM_NEWADDR || len(m.Data) < unix.SizeofIfAddrmsg {
		return
	}
	attributes, err := syscall.ParseNetlinkRouteAttr(&m)
	if err != nil {
		return
	}
	for _, attr := range attributes {
		if addr, ok := netip.AddrFromSlice(attr.Value); ok && attr.Attr.Type == unix.IFA_LOCAL {
			a.mu.Lock()
			a.seen = append(a.seen, appearance{addr, at})
			a.mu.Unlock()
		}
	}
}
