// SPDX-License-Identifier: Apache-2.0

// Package flock takes advisory locks on directories (flock(2)), with some patience: who
// starts or ends at this moment holds one for as long as that takes.
//
//	Dir ──> nobody's: locked at once
//	    ──> held: waiting() once, then tried again and again ──> locked, or ErrHeld
package flock

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrHeld: another process still has the lock when patience is at an end.
var ErrHeld = errors.New("locked by another process")

// retry is the pause between two attempts.
const retry = 10 * time.Millisecond

// Dir locks a directory until the file is closed. If another process has it, waiting is
// called, unless it is nil, and the lock is awaited for as long as patience lasts.
func Dir(dir string, patience time.Duration, waiting func()) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for end, first := time.Now().Add(patience), true; ; first = false {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		case !time.Now().Before(end):
			_ = f.Close()
			return nil, fmt.Errorf("%s: %w", dir, ErrHeld)
		case first && waiting != nil:
			waiting()
		}
		time.Sleep(retry)
	}
}
