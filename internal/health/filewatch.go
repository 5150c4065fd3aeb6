// SPDX-License-Identifier: Apache-2.0

package health

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// fileWatch tells when a file may have changed. The watch is on the file's
// directory, so that a file that does not exist yet, or is replaced by a
// rename, is seen as well.
//
// It belongs to one goroutine, which calls arm now and then (a directory that
// is missing or was replaced can only be found by looking) and reads the file
// after each signal on C, after each arm that returned false, and once in a
// while in any case: a symbolic link's target and a network file system send no
// events.
type fileWatch struct {
	// C holds at most one signal: several changes may become one.
	C <-chan struct{}

	dir, base string
	inotify   *os.File // nil if the system gives no inotify instance
	wd        atomic.Int32
	lost      atomic.Bool
	wg        sync.WaitGroup
}

const fileEvents = unix.IN_CREATE | unix.IN_MODIFY | unix.IN_CLOSE_WRITE |
	unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ATTRIB |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// lostEvents are those after which a watch is of no more use.
const lostEvents = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT | unix.IN_IGNORED

// watchFile never fails: without inotify the watch is never armed, and its owner
// keeps polling as it does for a missing directory.
func watchFile(path string) *fileWatch {
	c := make(chan struct{}, 1)
	w := &fileWatch{C: c, dir: filepath.Dir(path), base: filepath.Base(path)}
	w.wd.Store(-1)
	w.lost.Store(true)
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return w
	}
	w.inotify = os.NewFile(uintptr(fd), "inotify on "+w.dir)
	w.wg.Go(func() { w.read(c) })
	return w
}

// arm reports whether events will come.
func (w *fileWatch) arm() bool {
	if w.inotify == nil {
		return false
	}
	if !w.lost.Load() {
		return true
	}
	conn, err := w.inotify.SyscallConn()
	if err != nil {
		return false
	}
	wd := -1
	_ = conn.Control(func(fd uintptr) {
		if old := w.wd.Load(); old >= 0 { // a moved directory keeps its old watch
			_, _ = unix.InotifyRmWatch(int(fd), uint32(old))
		}
		if n, err := unix.InotifyAddWatch(int(fd), w.dir, fileEvents); err == nil {
			wd = n
		}
	})
	w.wd.Store(int32(wd))
	w.lost.Store(wd < 0)
	// What happened before the watch was there is found by reading the file.
	return false
}

func (w *fileWatch) read(c chan<- struct{}) {
	buf := make([]byte, 64*(unix.SizeofInotifyEvent+unix.NAME_MAX+1))
	for {
		n, err := w.inotify.Read(buf)
		if err != nil {
			return
		}
		touched, lost, err := scanEvents(buf[:n], w.base, w.wd.Load())
		if lost || err != nil {
			w.lost.Store(true)
			touched = true
		}
		if !touched {
			continue
		}
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

var errShortEvent = errors.New("inotify event is cut short")

// scanEvents looks through a buffer of struct inotify_event (inotify(7)). Only
// the present watch can be lost: removing an older one is answered by an
// IN_IGNORED of its own.
func scanEvents(b []byte, base string, wd int32) (touched, lost bool, err error) {
	for len(b) > 0 {
		if len(b) < unix.SizeofInotifyEvent {
			return touched, lost, fmt.Errorf("%w: %d bytes", errShortEvent, len(b))
		}
		from := int32(binary.NativeEndian.Uint32(b))
		mask := binary.NativeEndian.Uint32(b[4:])
		size := int(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		if len(b) < size {
			return touched, lost, fmt.Errorf("%w: name of %d bytes", errShortEvent, size)
		}
		name, _, _ := bytes.Cut(b[:size], []byte{0})
		b = b[size:]
		touched = touched || string(name) == base
		lost = lost || mask&unix.IN_Q_OVERFLOW != 0 || from == wd && mask&lostEvents != 0
	}
	return touched, lost, nil
}

func (w *fileWatch) close() {
	if w.inotify != nil {
		_ = w.inotify.Close()
		w.wg.Wait()
	}
}
