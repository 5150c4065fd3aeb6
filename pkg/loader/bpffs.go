package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// bpffsRoot is where systemd, bpftool and everybody else mount the BPF filesystem.
const bpffsRoot = "/sys/fs/bpf"

// ensureBPFFS sees to it that dir, which need not exist yet, is on a BPF filesystem.
// It mounts one at its usual place and nowhere else, and reports that it has.
func ensureBPFFS(dir string) (mounted bool, err error) {
	ok, err := onBPFFS(dir)
	if err != nil || ok {
		return false, err
	}
	if !strings.HasPrefix(dir, bpffsRoot+"/") {
		return false, fmt.Errorf("pin directory %s: %w: choose one below %s, or mount one there with 'mount -t bpf bpf DIRECTORY'",
			dir, ErrNoBPFFS, bpffsRoot)
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("bpf", bpffsRoot, "bpf", flags, "mode=0700"); err != nil {
		return false, fmt.Errorf("mount the BPF filesystem at %s: %w", bpffsRoot, err)
	}
	return true, nil
}

// onBPFFS looks at the nearest directory that exists.
func onBPFFS(dir string) (bool, error) {
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
