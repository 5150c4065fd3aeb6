// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/config"
	"hafast/internal/spawn"
)

// System returns the host this process runs on.
func System() Env { return system{} }

type system struct{}

// dialTimeout bounds how long a socket's owner may take to accept.
const dialTimeout = time.Second

// Links implements [Network].
func (system) Links() ([]Link, error) {
	devices, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	links := make([]Link, 0, len(devices))
	for _, device := range devices {
		addrs, err := device.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", device.Name, err)
		}
		link := Link{
			Name: device.Name, MTU: device.MTU,
			Up:      device.Flags&net.FlagUp != 0,
			Carrier: device.Flags&net.FlagRunning != 0,
		}
		for _, addr := range addrs {
			if p, err := netip.ParsePrefix(addr.String()); err == nil {
				link.Addrs = append(link.Addrs, p)
			}
		}
		links = append(links, link)
	}
	return links, nil
}

// Answers implements [Network].
func (system) Answers(socket string) error {
	conn, err := net.DialTimeout("unix", socket, dialTimeout)
	if err != nil {
		return err
	}
	return conn.Close()
}

// CanListen implements [Network]: it listens for a moment.
func (system) CanListen(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		var errno syscall.Errno
		if errors.As(err, &errno) {
			return errno
		}
		return err
	}
	return l.Close()
}

// Release implements [Kernel].
func (system) Release() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// Sysctl implements [Kernel].
func (system) Sysctl(path string) (string, error) {
	data, err := os.ReadFile(filepath.Join("/proc/sys", path))
	return string(data), err
}

// Capable implements [Kernel], for the effective set.
func (system) Capable(capability int) (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	// Version 3 has 64 capabilities in two halves.
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, fmt.Errorf("capget: %w", err)
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0, nil
}

// PIDFD implements [Kernel].
func (system) PIDFD() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// Read implements [Files].
func (system) Read(path string) ([]byte, error) { return os.ReadFile(path) }

// Executable implements [Files]. A program without a slash is searched in PATH.
func (system) Executable(line string) error {
	argv, err := spawn.Split(line)
	if err != nil {
		return err
	}
	_, err = exec.LookPath(argv[0])
	var execErr *exec.Error
	if errors.As(err, &execErr) {
		return fmt.Errorf("%s: %w", argv[0], cause(execErr.Err))
	}
	return err
}

// User implements [Files].
func (system) User(name string) error { return spawn.CheckUser(name) }

// Writable implements [Files] for the nearest directory on the way that exists.
func (system) Writable(dir string) error {
	for {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir):
			dir = filepath.Dir(dir)
			continue
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s: %w", dir, unix.ENOTDIR)
		}
		return unix.Access(dir, unix.W_OK|unix.X_OK)
	}
}

// Key implements [Files].
func (system) Key(path string) error {
	_, err := config.ReadKeys(path)
	return err
}

// Processes implements [Files].
func (system) Processes() (map[int]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	processes := map[int]string{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		comm, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "comm"))
		if err != nil {
			continue // it has ended meanwhile
		}
		processes[pid] = strings.TrimSpace(string(comm))
	}
	return processes, nil
}
