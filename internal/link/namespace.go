// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespace is the network namespace that an object was made in. The kernel
// resolves /proc/sys/net by the namespace of the thread that opens a file, and
// goroutines move between threads.
type namespace struct {
	fd       int
	dev, ino uint64
}

const threadNamespace = "/proc/thread-self/ns/net"

// currentNamespace is the calling thread's.
func currentNamespace() (*namespace, error) {
	fd, err := unix.Open(threadNamespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("identify network namespace: %w", err)
	}
	return &namespace{fd: fd, dev: st.Dev, ino: st.Ino}, nil
}

// do calls f on a thread that is in the namespace. A daemon whose threads are
// all there, the ordinary case, pays one stat for it.
func (n *namespace) do(f func() error) error {
	runtime.LockOSThread()
	var st unix.Stat_t
	err := unix.Stat(threadNamespace, &st)
	if err == nil && st.Dev == n.dev && st.Ino == n.ino {
		defer runtime.UnlockOSThread()
		return f()
	}
	runtime.UnlockOSThread()
	if err != nil {
		return fmt.Errorf("identify network namespace: %w", err)
	}
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the thread has been moved and ends with the goroutine.
		runtime.LockOSThread()
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

func (n *namespace) close() error { return unix.Close(n.fd) }
