// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/flock"
)

// ErrInUse says that a living daemon owns the socket.
var ErrInUse = errors.New("another hafast is running")

const (
	// socketMode lets root and the socket's group in.
	socketMode = 0o660
	// maxSocketPath is sizeof(sockaddr_un.sun_path) less the final NUL, unix(7).
	maxSocketPath = 107
	// probeTimeout bounds the test whether a daemon lives behind a socket. A
	// living one accepts in the kernel, without its own doing.
	probeTimeout = time.Second
	// lockPatience is how long another daemon may take to open its socket in the same
	// directory.
	lockPatience = 2 * time.Second
)

// Listen opens the control socket at path. It creates the directory (0755),
// removes the socket a dead daemon left behind, and returns an error that wraps
// ErrInUse when the daemon behind it is alive. Anything at path that is no socket
// is left alone and reported. Closing the listener removes the socket.
//
// Of daemons that are started at once with sockets in one directory, the others wait for
// the first one; waiting, if set, is called before.
func Listen(path string, waiting func()) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("control socket %s: the path has %d bytes and may have %d; choose a shorter control.socket",
			path, len(path), maxSocketPath)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create directory of control socket: %w", err)
	}
	// Of two daemons started at once the second must not take the first one's fresh
	// socket for a stale one. The lock is held for these few calls.
	lock, err := flock.Dir(dir, lockPatience, waiting)
	switch {
	case errors.Is(err, flock.ErrHeld):
		return nil, fmt.Errorf("control socket %s: %w: it has been starting for %v", path, ErrInUse, lockPatience)
	case err != nil:
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	defer func() { _ = lock.Close() }()

	if err := removeStale(path); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: restrictMode}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	// The umask has had its say at bind; this gives the group back what it took.
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("set mode of control socket: %w", err), ln.Close())
	}
	return ln, nil
}

// restrictMode sets the mode before bind, from which Linux takes the mode of
// the file: there is no moment in which others could connect.
func restrictMode(_, _ string, c syscall.RawConn) error {
	var chmodErr error
	err := c.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), socketMode) })
	return errors.Join(err, chmodErr)
}

// removeStale removes the socket at path if nobody listens behind it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("control socket %s: something that is no socket is in its place; remove it or choose another control.socket", path)
	}

	conn, err := net.DialTimeout("unix", path, probeTimeout)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("control socket %s: %w; stop it first, or choose another control.socket", path, ErrInUse)
	case errors.Is(err, unix.ECONNREFUSED):
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove stale control socket: %w", err)
		}
		return nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded):
		// The backlog is full: someone listens and is slow, which is alive.
		return fmt.Errorf("control socket %s: %w and does not answer; stop it first", path, ErrInUse)
	default:
		return fmt.Errorf("probe control socket: %w", err)
	}
}
