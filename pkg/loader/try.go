// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Try loads the program as Open does, with the smallest tables and nothing pinned, runs
// frames through it, and attaches it to the loopback interface of a network namespace
// that ends with the trial. It leaves nothing behind, and touches nothing of the host's.
//
// It returns what the kernel lacks and the program does without. The error is what
// would keep Open from loading: a *RefusedError if the kernel gave a reason.
func Try() (lacks []Lack, err error) {
	d, err := Open(Options{Flows: MinFlows, EventBytes: os.Getpagesize()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	attached := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and its
		// namespace with the thread.
		runtime.LockOSThread()
		attached <- d.tryAttach()
	}()
	return d.Lacks(), <-attached
}

// tryAttach is called on a thread that ends afterwards.
func (d *DataPath) tryAttach() error {
	switch err := unix.Unshare(unix.CLONE_NEWNET); {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSPC):
		return nil // no namespace is to be had: what has been tried must do
	case err != nil:
		return fmt.Errorf("make a network namespace: %w", err)
	}
	if _, err := d.Attach("lo", ModeGeneric); err != nil {
		return refused(err)
	}
	return d.Detach("lo")
}
