// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// BPFFS is where systemd, bpftool and everybody else mount the BPF filesystem; Open
// does so if nobody has.
const BPFFS = "/sys/fs/bpf"

// ensureBPFFS sees to it that dir, which need not exist yet, is on a BPF filesystem.
// It mounts one at its usual place and nowhere else, and reports that it has.
func ensureBPFFS(dir string) (mounted bool, err error) {
	ok, err := OnBPFFS(dir)
	if err != nil || ok {
		return false, err
	}
	if !strings.HasPrefix(dir, BPFFS+"/") {
		return false, fmt.Errorf("pin directory %s: %w: choose one below %s, or mount one there with 'mount -t bpf bpf DIRECTORY'",
			dir, ErrNoBPFFS, BPFFS)
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("bpf", BPFFS, "bpf", flags, "mode=0700"); err != nil {
		return false, fmt.Errorf("mount the BPF filesystem at %s: %w", BPFFS, err)
	}
	return true, nil
}

// OnBPFFS reports whether a directory, or the nearest above it that exists, is on a BPF
// filesystem.
func OnBPFFS(dir string) (bool, error) {
	for {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		if err == nil {
			return st.Type == unix.BPF_FS_MAGIC, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return false, fmt.Errorf("look at the filesystem of %s: %w", dir, err)
		}
		dir = filepath.Dir(dir)
	}
}
