// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// Conn reads and changes interfaces, addresses, routes and macvlan devices. It
// is safe for concurrent use.
type Conn struct {
	socket *socket
	// handle serves what is rare and not worth an encoder of its own: routes
	// and macvlan devices.
	handle *netlink.Handle
}

// Open returns a Conn to the calling thread's network namespace.
func Open() (*Conn, error) {
	s, err := openSocket(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("open netlink handle: %w", err)
	}
	return &Conn{socket: s, handle: h}, nil
}

// Close releases the sockets.
func (c *Conn) Close() error {
	c.handle.Close()
	return c.socket.close()
}

// State reads one interface; ErrNotFound if there is none of that name.
func (c *Conn) State(name string) (State, error) {
	index, err := c.index(name)
	if err != nil {
		return State{}, err
	}
	t, err := c.socket.readTable(index)
	if err != nil {
		return State{}, fmt.Errorf("read interface %s: %w", name, err)
	}
	s, ok := t.byName(name)
	if !ok {
		return State{}, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return s, nil
}

// index is the interface's number now.
func (c *Conn) index(name string) (int, error) {
	l, err := c.socket.readLink(name)
	return l.index, err
}

func (s *socket) readLink(name string) (linkInfo, error) {
	request := func(r *requests) {
		r.begin(unix.RTM_GETLINK, 0, make([]byte, unix.SizeofIfInfomsg)...)
		r.Text(unix.IFLA_IFNAME, name)
		r.End()
	}
	var found linkInfo
	err := s.query(request, func(m nlmsg.Message) {
		if l, ok := parseLink(m.Data); ok && m.Type == unix.RTM_NEWLINK {
			found = l
		}
	})
	switch {
	case errors.Is(err, unix.ENODEV), err == nil && found.index == 0:
		return linkInfo{}, fmt.Errorf("%w: %s", ErrNotFound, name)
	case err != nil:
		return linkInfo{}, fmt.Errorf("read interface %s: %w", name, err)
	}
	return found, nil
}

// readTable dumps the links and the addresses; of all interfaces where index is
// 0. A dump that raced with a change is repeated.
func (s *socket) readTable(index int) (*table, error) {
	for range 10 {
		t, err := s.dumpTable(index)
		if !errors.Is(err, errInterrupted) {
			return t, err
		}
	}
	return nil, errInterrupted
}

func (s *socket) dumpTable(index int) (*table, error) {
	t := newTable()
	links := func(r *requests) {
		r.begin(unix.RTM_GETLINK, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfInfomsg)...)
		r.End()
	}
	err := s.query(links, func(m nlmsg.Message) {
		if l, ok := parseLink(m.Data); ok && m.Type == unix.RTM_NEWLINK {
			t.setLink(l)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("dump links: %w", err)
	}
	addrs := func(r *requests) {
		r.begin(unix.RTM_GETADDR, unix.NLM_F_DUMP, ifaddrHeader(unix.AF_UNSPEC, 0, 0, index)...)
		r.End()
	}
	err = s.query(addrs, func(m nlmsg.Message) {
		// Kernels before 4.20 ignore the index and send everything.
		if a, ok := parseAddr(m.Data); ok && m.Type == unix.RTM_NEWADDR && (index == 0 || a.index == index) && a.usable {
			t.addrs[a.index] = append(t.addrs[a.index], a)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("dump addresses: %w", err)
	}
	return t, nil
}
