// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Change is an interface's new condition.
type Change struct {
	Name string
	// Present is false once the interface is gone; State then has only its name.
	Present bool
	State   State
	// Removed are the addresses that have left the interface since the last
	// report of it. They are for the log: State alone says how things stand.
	Removed []netip.Addr
}

// Monitor follows interfaces and their addresses.
type Monitor struct {
	events *os.File
	// dumps is the socket that whole tables are read on.
	dumps *socket

	mu     sync.Mutex
	wanted map[string]bool
	// fresh are names whose state is to be reported even if it has not changed.
	fresh map[string]bool

	// rereads counts full re-reads after lost messages.
	rereads uint64
}

// NewMonitor subscribes to changes in the calling thread's network namespace and
// follows the named interfaces, whether they exist yet or not.
func NewMonitor(names ...string) (*Monitor, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open monitor socket: %w", err)
	}
	// Room for the burst that 1,000 addresses make. Beyond it, or where the
	// privilege is missing, the re-read after ENOBUFS does its work.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	groups := uint32(1<<(unix.RTNLGRP_LINK-1) | 1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1))
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("subscribe to link changes: %w", err)
	}
	dumps, err := openSocket(unix.NETLINK_ROUTE)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	m := &Monitor{events: os.NewFile(uintptr(fd), "rtnetlink"), dumps: dumps, wanted: map[string]bool{}, fresh: map[string]bool{}}
	m.Watch(names...)
	return m, nil
}

// Watch replaces the set of interfaces to follow. Each of them is reported
// anew, so that a caller need not read its state by another way.
func (m *Monitor) Watch(names ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.wanted)
	for _, name := range names {
		m.wanted[name] = true
		m.fresh[name] = true
	}
	// Ends a read that is waiting; the error of a closed file does not matter.
	_ = m.events.SetReadDeadline(time.Unix(1, 0))
}

// Run reports the state of each interface, first as it is and then at every
// change, until ctx is done. Messages that are waiting together make one report
// per interface. Run calls report from its own goroutine, in order, and closes
// the Monitor when it returns; it returns nil when ctx ended it.
func (m *Monitor) Run(ctx context.Context, report func(Change)) error {
	defer m.dumps.close()
	defer m.events.Close()
	stop := context.AfterFunc(ctx, func() { _ = m.events.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	conn, err := m.events.SyscallConn()
	if err != nil {
		return fmt.Errorf("monitor socket: %w", err)
	}
	t, err := m.read(ctx)
	if err != nil {
		return err
	}
	last := map[string]Change{}
	buf := make([]byte, 1<<16)
	for {
		if ctx.Err() != nil {
			return nil
		}
		m.publish(t, last, report)
		lost, err := receiveAll(conn, buf, t)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Either the end or a new set of names. The deadline is taken back
			// before both are looked at, so that none set meanwhile is missed.
			if err := m.events.SetReadDeadline(time.Time{}); err != nil {
				return fmt.Errorf("monitor socket: %w", err)
			}
		case err != nil:
			return fmt.Errorf("receive link changes: %w", err)
		}
		if !lost {
			continue
		}
		// Messages were dropped. The socket works on, and the table is read
		// again; messages still waiting lead to the same state at their end.
		m.rereads++
		if t, err = m.read(ctx); err != nil {
			return err
		}
	}
}

// read reads the whole table, as often as it takes for one that no change has
// disturbed. Once ctx is done it makes do with an empty one.
func (m *Monitor) read(ctx context.Context) (*table, error) {
	for ctx.Err() == nil {
		t, err := m.dumps.readTable(0)
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, errInterrupted) {
			return nil, fmt.Errorf("read interfaces: %w", err)
		}
	}
	return newTable(), nil
}

// publish reports the interfaces that differ from what was last reported.
func (m *Monitor) publish(t *table, last map[string]Change, report func(Change)) {
	m.mu.Lock()
	names := make([]string, 0, len(m.wanted))
	for name := range m.wanted {
		names = append(names, name)
	}
	fresh := m.fresh
	m.fresh = map[string]bool{}
	m.mu.Unlock()

	slices.Sort(names)
	for _, name := range names {
		state, present := t.byName(name)
		if !present {
			state.Name = name
		}
		before, known := last[name]
		if known && !fresh[name] && before.Present == present && sameState(before.State, state) {
			continue
		}
		now := Change{Name: name, Present: present, State: state, Removed: gone(before.State.Addrs, state)}
		last[name] = now
		report(now)
	}
}

func sameState(a, b State) bool {
	return a.Index == b.Index && a.Up == b.Up && a.MTU == b.MTU &&
		string(a.MAC) == string(b.MAC) && slices.Equal(a.Addrs, b.Addrs)
}

// gone lists the addresses of before that now lacks.
func gone(before []netip.Prefix, now State) []netip.Addr {
	if slices.Equal(before, now.Addrs) {
		return nil
	}
	have := make(map[netip.Addr]bool, len(now.Addrs))
	for _, p := range now.Addrs {
		have[p.Addr()] = true
	}
	var removed []netip.Addr
	for _, p := range before {
		if !have[p.Addr()] {
			removed = append(removed, p.Addr())
		}
	}
	return removed
}
