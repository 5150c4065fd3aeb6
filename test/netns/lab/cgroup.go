// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoCPUController is returned by LimitHAProxy where no CPU quota can be set.
var ErrNoCPUController = errors.New("no cgroup hierarchy with a CPU controller; mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup")

// quotaPeriod is how often a quota is handed out anew. It is short, so that a
// haproxy at its limit is slow rather than on and off.
const quotaPeriod = 10 * time.Millisecond

// cgroupV1 and cgroupV2 are the types of file systems that hold control groups.
const (
	cgroupV1 = "cgroup"
	cgroupV2 = "cgroup2"
)

// hierarchy is a mounted tree of control groups with a CPU controller.
type hierarchy struct {
	root string
	v2   bool
}

// cgroups is a lab's access to control groups; the zero value is ready to use.
type cgroups struct {
	mu    sync.Mutex
	found *hierarchy
	// mounted is where the lab has mounted a hierarchy of its own, and enabled
	// the root in which it has turned the controller on; "" for neither.
	mounted, enabled string
}

// find returns a hierarchy with a CPU controller, and mounts one at dir if there is
// none yet.
func (c *cgroups) find(dir string) (*hierarchy, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found != nil {
		return c.found, nil
	}
	h, err := findHierarchy()
	if errors.Is(err, ErrNoCPUController) {
		h, err = c.mount(dir)
	}
	if err != nil {
		return nil, err
	}
	if h.v2 {
		if err := c.enable(h.root); err != nil {
			return nil, err
		}
	}
	c.found = h
	return h, nil
}

// findHierarchy looks for one among the mounts. A CPU controller is in one
// hierarchy only, of either version.
func findHierarchy() (*hierarchy, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		switch {
		case m.kind == cgroupV2 && hasWord(filepath.Join(m.dir, "cgroup.controllers"), "cpu"):
			return &hierarchy{m.dir, true}, nil
		case m.kind == cgroupV1 && slices.Contains(m.options, "cpu"):
			return &hierarchy{m.dir, false}, nil
		}
	}
	return nil, ErrNoCPUController
}

// mount mounts the second version's hierarchy, which has all controllers that the
// first version's do not have.
func (c *cgroups) mount(dir string) (*hierarchy, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount(cgroupV2, dir, cgroupV2, 0, ""); err != nil {
		return nil, fmt.Errorf("%w (mounting one failed: %w)", ErrNoCPUController, err)
	}
	c.mounted = dir
	if !hasWord(filepath.Join(dir, "cgroup.controllers"), "cpu") {
		return nil, ErrNoCPUController
	}
	return &hierarchy{dir, true}, nil
}

// enable lets groups below the root have the CPU controller.
func (c *cgroups) enable(root string) error {
	control := filepath.Join(root, "cgroup.subtree_control")
	if hasWord(control, "cpu") {
		return nil
	}
	if err := os.WriteFile(control, []byte("+cpu"), 0); err != nil {
		return fmt.Errorf("turn the CPU controller on in %s: %w", root, err)
	}
	c.enabled = control
	return nil
}

// close undoes what find did.
func (c *cgroups) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	if c.enabled != "" {
		// Somebody else may have come to rely on it.
		if err := os.WriteFile(c.enabled, []byte("-cpu"), 0); !errors.Is(err, unix.EBUSY) {
			errs = append(errs, err)
		}
	}
	if c.mounted != "" {
		errs = append(errs, unix.Unmount(c.mounted, 0))
	}
	c.found, c.enabled, c.mounted = nil, "", ""
	return errors.Join(errs...)
}

// reapCgroups removes the groups of labs whose process is gone.
func reapCgroups() error {
	h, err := findHierarchy()
	if err != nil {
		// Without a controller there are no groups.
		return nil
	}
	dirs, err := filepath.Glob(filepath.Join(h.root, namePrefix+"*"))
	errs := []error{err}
	for _, d := range dirs {
		if !stale(filepath.Base(d)) {
			continue
		}
		// The files in it are the kernel's, so it is removed as if it were empty.
		if err := os.Remove(d); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// LimitHAProxy lets the haproxies that are started from now on have so much of a
// processor between them: 0.2 is a fifth of one core. A Reset lifts the limit.
func (h *Host) LimitHAProxy(cores float64) error {
	tree, err := h.lab.cgroups.find(filepath.Join(h.lab.Dir, "cgroup"))
	if err != nil {
		return err
	}
	dir := filepath.Join(tree.root, h.ns.name)
	if err := os.Mkdir(dir, 0o755); err != nil && !isExist(err) {
		return err
	}
	h.mu.Lock()
	h.cgroup = dir
	h.mu.Unlock()
	period := quotaPeriod.Microseconds()
	quota := int64(cores * float64(period))
	if tree.v2 {
		return os.WriteFile(filepath.Join(dir, "cpu.max"), fmt.Appendf(nil, "%d %d", quota, period), 0)
	}
	if err := os.WriteFile(filepath.Join(dir, "cpu.cfs_period_us"), fmt.Append(nil, period), 0); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "cpu.cfs_quota_us"), fmt.Append(nil, quota), 0)
}

// confine puts a process under the host's limit, if it has one.
func (h *Host) confine(p *Proc) error {
	h.mu.Lock()
	dir := h.cgroup
	h.mu.Unlock()
	if dir == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, p.PID()), 0)
}

// unlimit removes the host's limit. Its processes are dead by now.
func (h *Host) unlimit() error {
	h.mu.Lock()
	dir := h.cgroup
	h.cgroup = ""
	h.mu.Unlock()
	if dir == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var err error
	timeout := Eventually(ctx, "the control group to be empty", func() bool {
		err = os.Remove(dir)
		return !errors.Is(err, unix.EBUSY)
	})
	return errors.Join(err, timeout)
}

// Throttling is how a limited haproxy fares: of so many periods in which it ran,
// it used its quota up in Throttled.
type Throttling struct{ Periods, Throttled uint64 }

// Throttling reads what has been counted since the limit was set.
func (h *Host) Throttling() (t Throttling, err error) {
	h.mu.Lock()
	dir := h.cgroup
	h.mu.Unlock()
	// Both versions have these two lines.
	b, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return t, err
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return t, fmt.Errorf("%s/cpu.stat: %w", dir, err)
		}
		switch key {
		case "nr_periods":
			t.Periods = n
		case "nr_throttled":
			t.Throttled = n
		}
	}
	return t, nil
}

// hasWord reports whether a file of words has that one.
func hasWord(path, word string) bool {
	b, err := os.ReadFile(path)
	return err == nil && slices.Contains(strings.Fields(string(b)), word)
}
