// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// bpffsDir is where the BPF file system belongs.
	bpffsDir = "/sys/fs/bpf"
	// bpffsSource is what a lab names as the source of its mount, which tells it from
	// the machine's own.
	bpffsSource = "hflab"
	// bpffsLock is a directory that is always there, locked by those who care.
	bpffsLock = "/sys/fs"
)

// bpffs is a lab's use of the BPF file system. Labs of all processes share one:
// each holds a shared lock while it lives, and who can turn it into an exclusive
// one is the last.
type bpffs struct {
	dir  string
	lock *os.File
}

// useBPFFS makes sure that the BPF file system is mounted at dir and stays so until
// release.
func useBPFFS(dir, lockDir string) (*bpffs, error) {
	lock, err := os.Open(lockDir)
	if err != nil {
		return nil, err
	}
	// From here on nobody unmounts it.
	if err = flock(lock, unix.LOCK_SH); err == nil {
		err = mountBPFFS(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount -t bpf bpf %s: %w", dir, err), lock.Close())
	}
	return &bpffs{dir: dir, lock: lock}, nil
}

// mountBPFFS mounts it where it is not. Of several who try, the one that has the
// directory locked does it; the others find it done.
func mountBPFFS(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock(f, unix.LOCK_EX); err != nil {
		return err
	}
	if isBPFFS(dir) {
		return nil
	}
	return unix.Mount(bpffsSource, dir, "bpf", 0, "")
}

// release unmounts what a lab has mounted, if no other lab lives and nobody else
// keeps anything in it.
func (b *bpffs) release() error {
	defer b.lock.Close()
	switch err := flock(b.lock, unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil
	case err != nil:
		return err
	}
	if mine, err := mountedByLab(b.dir); err != nil || !mine || !isUnused(b.dir) {
		return err
	}
	// It is busy when somebody is in there: then it is theirs from now on.
	if err := unix.Unmount(b.dir, 0); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("unmount %s: %w", b.dir, err)
	}
	return nil
}

// flock locks a file, undeterred by the runtime's signals.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func isBPFFS(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && fs.Type == unix.BPF_FS_MAGIC
}

// mountedByLab reports whether the topmost mount on dir is a lab's.
func mountedByLab(dir string) (bool, error) {
	mounts, err := readMounts()
	var mine bool
	for _, m := range mounts {
		if m.dir == dir {
			mine = m.source == bpffsSource
		}
	}
	return mine, err
}

// isUnused reports whether nobody keeps anything in a BPF file system: the kernel
// itself puts two files there.
func isUnused(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && !slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return e.Name() != "maps.debug" && e.Name() != "progs.debug"
	})
}

// mount is a line of /proc/mounts (proc(5), fstab(5)).
type mount struct {
	source, dir, kind string
	options           []string
}

// readMounts lists what is mounted, in the order in which it was.
func readMounts() ([]mount, error) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var mounts []mount
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 4 {
			mounts = append(mounts, mount{f[0], f[1], f[2], strings.Split(f[3], ",")})
		}
	}
	return mounts, nil
}

// BPFDir is where the host's daemon pins its programs and maps. It is not made by
// the lab, and is gone after a Reset.
func (h *Host) BPFDir() string { return filepath.Join(bpffsDir, h.ns.name) }

// removePins removes what a daemon has left in the BPF file system. Programs and
// maps that nothing else refers to go with their pins.
func (h *Host) removePins() error { return os.RemoveAll(h.BPFDir()) }

// detachTimeout is how long a program may take to leave an interface: the kernel
// does that on a worker, some time after the last reference is gone, which on a busy machine
// is seconds.
const detachTimeout = 20 * time.Second

// detachXDP waits until no XDP program is on eth0. One that hangs on a link leaves
// with the link's pin; one that was attached by netlink is taken off.
func (h *Host) detachXDP() error {
	ctx, cancel := context.WithTimeout(context.Background(), detachTimeout)
	defer cancel()
	var failure error
	err := Eventually(ctx, "the XDP program to leave", func() bool {
		var attached bool
		attached, failure = h.tryDetachXDP()
		return failure != nil || !attached
	})
	return errors.Join(failure, err)
}

// tryDetachXDP reports whether a program is on eth0, and asks it to go.
func (h *Host) tryDetachXDP() (attached bool, err error) {
	err = h.withLink(Interface, func(link netlink.Link) error {
		xdp := link.Attrs().Xdp
		if attached = xdp != nil && xdp.Attached; !attached {
			return nil
		}
		for _, mode := range []int{unix.XDP_FLAGS_DRV_MODE, unix.XDP_FLAGS_SKB_MODE} {
			// Refused for the mode that it is not in, and while a link holds it.
			_ = netlink.LinkSetXdpFdWithFlags(link, -1, mode)
		}
		return nil
	})
	return attached, err
}

// reapPins removes the pins of labs whose process is gone.
func reapPins() error {
	if !isBPFFS(bpffsDir) {
		return nil
	}
	return reapDirs(filepath.Join(bpffsDir, namePrefix+"*"))
}
