// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hafast/internal/flock"
)

// Names in the pin directory, beside those of the maps.
const (
	pinABI     = "abi"
	pinProgram = "program"
	dirLinks   = "links" // pins named by the interface's index
	dirNext    = "next"  // pins that are not in force yet
)

// busyPatience is how long another process may take to let go of the pin directory: one
// that ends at this moment, or that was started a moment too early.
const busyPatience = 2 * time.Second

// pins is the pin directory, held open and locked by this process.
type pins struct {
	dir  string
	lock *os.File
	next []string // names in dirNext, in the order in which they come into force
}

// openPins makes the directory, if need be, and locks it: two daemons on one data
// path would undo each other's work. The lock ends with the process, and one that is
// about to end is waited for as long as patience lasts.
func openPins(dir string, patience time.Duration, waiting func()) (*pins, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the pin directory: %w", err)
	}
	f, err := flock.Dir(dir, patience, waiting)
	switch {
	case errors.Is(err, flock.ErrHeld):
		return nil, fmt.Errorf("%s: %w: is another hafast running?", dir, ErrBusy)
	case err != nil:
		return nil, fmt.Errorf("open the pin directory: %w", err)
	}
	p := &pins{dir: dir, lock: f}
	if err := p.discard(); err != nil {
		p.close()
		return nil, err
	}
	if err := os.MkdirAll(p.path(dirLinks), 0o700); err != nil {
		p.close()
		return nil, fmt.Errorf("make the directory of links: %w", err)
	}
	return p, nil
}

// directory is the pin directory, if there is one.
func (p *pins) directory() string {
	if p == nil {
		return ""
	}
	return p.dir
}

func (p *pins) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pins) link(ifindex int) string {
	return filepath.Join(p.dir, dirLinks, strconv.Itoa(ifindex))
}

// stage pins an object where it does not count yet.
func (p *pins) stage(name string, object interface{ Pin(string) error }) error {
	if err := os.MkdirAll(p.path(dirNext), 0o700); err != nil {
		return fmt.Errorf("make the directory of new pins: %w", err)
	}
	if err := object.Pin(filepath.Join(p.path(dirNext), name)); err != nil {
		return fmt.Errorf("pin %s: %w", name, err)
	}
	p.next = append(p.next, name)
	return nil
}

// commit renames what is staged into place, over what is there.
func (p *pins) commit() error {
	for len(p.next) > 0 {
		name := p.next[0]
		if err := os.Rename(filepath.Join(p.path(dirNext), name), p.path(name)); err != nil {
			return fmt.Errorf("rename a pin into place: %w", err)
		}
		p.next = p.next[1:]
	}
	return p.discard()
}

// discard removes what is staged, by this process or by one that did not come to the
// end.
func (p *pins) discard() error {
	p.next = nil
	if err := os.RemoveAll(p.path(dirNext)); err != nil {
		return fmt.Errorf("remove unfinished pins: %w", err)
	}
	return nil
}

func (p *pins) close() { _ = p.lock.Close() }

// RemovePinned takes down a data path that no process has open: it detaches the
// program from all interfaces and removes the pin directory. One that is not there is
// no error.
func RemovePinned(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if ok, err := OnBPFFS(dir); err != nil || !ok {
		return err
	}
	p, err := openPins(dir, 0, nil)
	if err != nil {
		return err
	}
	defer p.close()
	return p.removeAll()
}

// removeAll detaches and unpins everything and removes the directory.
func (p *pins) removeAll() error {
	objects, err := p.objects()
	if err != nil {
		return err
	}
	links, err := p.links()
	if err != nil {
		return err
	}
	for ifindex, l := range links {
		err := errors.Join(detach(l), p.unpinLink(ifindex))
		_ = l.Close()
		if err != nil {
			return err
		}
	}
	// The version is the last: maps without one would be refused.
	names := append([]string{dirLinks}, append(objects, pinABI)...)
	if err := errors.Join(p.discard(), removePins(p.dir, names...)); err != nil {
		return err
	}
	// A mount point stays where it is.
	if err := os.Remove(p.dir); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("remove the pin directory: %w", err)
	}
	return nil
}

// objects names the programs and maps that are pinned in the directory, those of other
// versions too, without the map of the version. The directory is hafast's alone; but one
// that a whole BPF filesystem is mounted at may be everybody's, and there only the names
// of this version count.
func (p *pins) objects() (names []string, err error) {
	shared, err := isMountPoint(p.dir)
	if err != nil {
		return nil, err
	}
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil, fmt.Errorf("list the pin directory: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		known := name == pinProgram || spec.Maps[name] != nil
		// A pin is a regular file; what is in directories is not ours.
		if name != pinABI && entry.Type().IsRegular() && (known || !shared) {
			names = append(names, name)
		}
	}
	return names, nil
}

// isMountPoint reports whether a filesystem is mounted at the directory.
func isMountPoint(dir string) (bool, error) {
	var at, above unix.Stat_t
	if err := errors.Join(unix.Stat(dir, &at), unix.Stat(filepath.Dir(dir), &above)); err != nil {
		return false, fmt.Errorf("look at the pin directory: %w", err)
	}
	return at.Dev != above.Dev, nil
}

func (p *pins) unpinLink(ifindex int) error {
	if err := os.Remove(p.link(ifindex)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the pin of a link: %w", err)
	}
	return nil
}

// stageAll pins a new data path. It puts the version first: whoever finds a map finds its version too.
func stageAll(p *pins, abi *ebpf.Map, fresh map[string]*ebpf.Map, program *ebpf.Program) error {
	if abi != nil {
		if err := p.stage(pinABI, abi); err != nil {
			return err
		}
	}
	for name, m := range fresh {
		if err := p.stage(name, m); err != nil {
			return err
		}
	}
	return p.stage(pinProgram, program)
}
