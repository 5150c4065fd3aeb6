// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"hafast/internal/announce"
	"hafast/internal/config"
	"hafast/internal/control"
	"hafast/internal/link"
	"hafast/internal/ownership"
	"hafast/pkg/loader"
)

// CleanUp takes off what a daemon has left on this host that was killed, or stopped
// while haproxy still had connections: the data path, the VIPs, the sysctls. A daemon
// that is running is an error.
func CleanUp(cfg *config.Config, log *slog.Logger) (err error) {
	socket, err := control.Listen(cfg.Control.Socket, nil)
	if err != nil {
		return err // also while a daemon listens there
	}
	undo := func(f func() error) { err = errors.Join(err, f()) }
	defer undo(closing(socket))
	conn, err := link.Open()
	if err != nil {
		return err
	}
	defer undo(conn.Close)
	sysctls, err := link.NewSysctls(cfg.StateDir)
	if err != nil {
		return err
	}
	defer undo(sysctls.Close)
	sender, err := announce.NewSender()
	if err != nil {
		return fmt.Errorf("%w; run as root or with CAP_NET_RAW and CAP_NET_ADMIN", err)
	}
	defer undo(sender.Close)
	deps := ownership.Deps{
		Addresses: conn, Routes: conn, Macvlans: conn, Sysctls: sysctls, Announcer: sender, Log: log, Now: time.Now,
	}
	if guard, err := link.NewGuard(); err == nil {
		deps.Guard = guard
		defer undo(guard.Close)
	}
	// What is prepared can be withdrawn: also what somebody else had prepared.
	owner := ownership.New(deps)
	if err := errors.Join(owner.Prepare(ownedBy(cfg)), owner.Withdraw()); err != nil {
		return fmt.Errorf("take the VIPs off: %w", err)
	}
	// Last: its gate keeps the kernel from answering for VIPs that are still there.
	if err := loader.RemovePinned(cfg.BPFDir); err != nil {
		return fmt.Errorf("take the data path down: %w", err)
	}
	return nil
}
