// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// PrivateBPFFS reports whether pins in dir would end with this process's mount namespace,
// so that no successor finds them: in a container without the host's BPF filesystem, or
// a service with PrivateMounts=. What a process may not know of the host's mounts it
// takes to be in order.
func PrivateBPFFS(dir string) (bool, error) { return privateTo("/proc/1", dir) }

// privateTo is PrivateBPFFS, seen from the process in a folder of /proc.
func privateTo(process, dir string) (bool, error) {
	own, err := os.Readlink("/proc/thread-self/ns/mnt")
	if err != nil {
		return false, fmt.Errorf("read the mount namespace: %w", err)
	}
	host, err := os.Readlink(filepath.Join(process, "ns/mnt"))
	if errors.Is(err, fs.ErrPermission) || err == nil && host == own {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the host's mount namespace: %w", err)
	}
	mounts, err := os.ReadFile(filepath.Join(process, "mountinfo"))
	if errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the host's mounts: %w", err)
	}
	device, err := bpffsDevice(dir)
	if err != nil {
		return false, err
	}
	return !mountedBPFFS(string(mounts), device), nil
}

// bpffsDevice is the number of the BPF filesystem that dir is, or will be, on, as
// "major:minor"; empty if there is none yet.
func bpffsDevice(dir string) (string, error) {
	if on, err := OnBPFFS(dir); err != nil || !on {
		return "", err
	}
	var st unix.Stat_t
	for {
		err := unix.Stat(dir, &st)
		if err == nil {
			return fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("look at the filesystem of %s: %w", dir, err)
		}
		dir = filepath.Dir(dir)
	}
}

// mountedBPFFS reports whether a BPF filesystem of this number is among the mounts of
// a /proc/PID/mountinfo (proc_pid_mountinfo(5)).
func mountedBPFFS(mountinfo, device string) bool {
	for line := range strings.Lines(mountinfo) {
		mount, source, _ := strings.Cut(line, " - ")
		if of := strings.Fields(mount); len(of) > 2 && of[2] == device && strings.HasPrefix(source, "bpf ") {
			return true
		}
	}
	return false
}
