// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// netnsDir is where iproute2 keeps named network namespaces.
const netnsDir = "/run/netns"

// namePrefix starts the name of every namespace and directory of a lab.
const namePrefix = "hflab-"

// errGoexit is returned by do when the function left its goroutine, as
// testing.T.FailNow does.
var errGoexit = errors.New("function ended its goroutine instead of returning")

// namespace is a named network namespace, held open.
type namespace struct {
	name string
	file *os.File
}

// newNamespace makes a namespace. It leaves the work to iproute2, which also
// sets up the mount of /run/netns on a fresh machine.
func newNamespace(name string) (*namespace, error) {
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ip netns add %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	f, err := os.Open(filepath.Join(netnsDir, name))
	if err != nil {
		return nil, errors.Join(err, deleteNamespace(name))
	}
	return &namespace{name: name, file: f}, nil
}

// close kills what still runs in the namespace and deletes it.
func (n *namespace) close() error {
	killInside(n.path())
	return errors.Join(n.file.Close(), deleteNamespace(n.name))
}

func (n *namespace) path() string { return filepath.Join(netnsDir, n.name) }

// do runs fn on a thread inside the namespace and returns when it is done. A
// panic in fn goes on in the caller's goroutine, where deferred clean-up can see it.
func (n *namespace) do(fn func() error) error {
	type outcome struct {
		err      error
		panicked any
	}
	done := make(chan outcome, 1)
	go func() {
		result := outcome{err: errGoexit}
		defer func() {
			if p := recover(); p != nil {
				result.panicked = p
			}
			done <- result
		}()
		// A thread that cannot go home stays locked, and dies with this goroutine.
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			result.err = fmt.Errorf("open own namespace: %w", err)
			return
		}
		defer home.Close()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			result.err = fmt.Errorf("enter namespace %s: %w", n.name, err)
			return
		}
		defer func() {
			if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
		}()
		result.err = fn()
	}()
	result := <-done
	if result.panicked != nil {
		panic(result.panicked)
	}
	return result.err
}

func deleteNamespace(name string) error {
	if out, err := exec.Command("ip", "netns", "delete", name).CombinedOutput(); err != nil {
		return fmt.Errorf("ip netns delete %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// killInside kills every process whose network namespace is the one mounted
// at path, but never the caller.
func killInside(path string) {
	var want unix.Stat_t
	if unix.Stat(path, &want) != nil {
		return
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		var have unix.Stat_t
		if unix.Stat(filepath.Join("/proc", e.Name(), "ns/net"), &have) == nil &&
			have.Ino == want.Ino && have.Dev == want.Dev {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// Reap removes labs whose process is gone: a killed test, a crashed benchmark.
// Labs of living processes are left alone.
func Reap() error {
	var errs []error
	entries, err := os.ReadDir(netnsDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, e := range entries {
		if !stale(e.Name()) {
			continue
		}
		killInside(filepath.Join(netnsDir, e.Name()))
		// Two reapers may meet; whoever comes second finds nothing to delete.
		err := deleteNamespace(e.Name())
		if _, gone := os.Stat(filepath.Join(netnsDir, e.Name())); gone == nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, reapDirs(filepath.Join(os.TempDir(), namePrefix+"*")), reapPins(), reapCgroups())
	return errors.Join(errs...)
}

// reapDirs removes those directories of dead labs that match the pattern.
func reapDirs(pattern string) error {
	dirs, err := filepath.Glob(pattern)
	errs := []error{err}
	for _, d := range dirs {
		if stale(filepath.Base(d)) {
			errs = append(errs, os.RemoveAll(d))
		}
	}
	return errors.Join(errs...)
}

// stale reports whether name is a lab's and the process that built it is gone.
func stale(name string) bool {
	pid, ok := ownerOf(name)
	return ok && errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

// ownerOf reads the pid out of a name such as hflab-4711-2-haa.
func ownerOf(name string) (pid int, ok bool) {
	rest, ok := strings.CutPrefix(name, namePrefix)
	if !ok {
		return 0, false
	}
	digits, _, ok := strings.Cut(rest, "-")
	if !ok {
		return 0, false
	}
	pid, err := strconv.Atoi(digits)
	return pid, err == nil && pid > 0
}
