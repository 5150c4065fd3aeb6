// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// unreadHafast is hafast without replication, on routers where somebody is subscribed to the
// events of connection tracking that replication needs, and reads none. The kernel writes
// each and throws it away: nothing that is told by events can cost less.
type unreadHafast struct {
	*lab.RouterHafast
	sockets map[*lab.Host]int
}

func newUnreadHafast(f *lab.RouterHafast) *unreadHafast {
	return &unreadHafast{RouterHafast: f, sockets: map[*lab.Host]int{}}
}

// Name implements System.
func (s *unreadHafast) Name() string { return unread }

// Start implements System.
func (s *unreadHafast) Start(ctx context.Context, h *lab.Host) error {
	err := h.Do(func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		s.sockets[h] = fd
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.NFNLGRP_CONNTRACK_UPDATE),
			unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.NFNLGRP_CONNTRACK_DESTROY))
	})
	if err != nil {
		return fmt.Errorf("subscribe to events on %s: %w", h.Name, err)
	}
	return s.RouterHafast.Start(ctx, h)
}

// Kill implements System.
func (s *unreadHafast) Kill(h *lab.Host) error {
	err := s.RouterHafast.Kill(h)
	if fd, open := s.sockets[h]; open {
		delete(s.sockets, h)
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}
