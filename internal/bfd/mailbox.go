// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notice is what the thread tells the goroutine that reports.
type notice struct {
	kind       noticeKind
	member     *member
	transition Transition
	evidence   Evidence // without the frames
	doubted    bool     // everybody was quiet: the frames count
}

type noticeKind uint8

const (
	changed noticeKind = iota // a transition
	doubtBegun
	doubtOver // nobody has come back; member is the one that went last
)

// pack puts what is left of a change when its notice is lost into one word.
func pack(n notice) uint64 {
	return uint64(n.transition.To) | uint64(n.evidence.Witness)<<8 | uint64(n.evidence.Alive)<<16 | uint64(n.transition.Run)<<32
}

// unpack is the inverse. Of the number of misses 32 bits are kept.
func unpack(w uint64) (to State, run int, e Evidence) {
	return State(w), int(w >> 32), Evidence{Witness: Verdict(w >> 8), Alive: int(w >> 16 & 0xff)}
}

// mailboxSize is a power of two: four transitions for each of the peers.
const mailboxSize = 4 * MaxPeers

// mailbox carries notices from one thread, which never waits, to one goroutine.
//
// When it is full, notices are lost and the reader is told so: it then takes each
// session's state as it is, so the last state wins and only what happened on the
// way there is lost.
type mailbox struct {
	notices  [mailboxSize]notice
	written  atomic.Uint64 // by the thread
	read     atomic.Uint64 // by the goroutine
	overflow atomic.Bool
	closed   atomic.Bool

	fd  int // eventfd
	one [8]byte
}

func newMailbox() (*mailbox, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open eventfd: %w", err)
	}
	m := &mailbox{fd: fd}
	binary.NativeEndian.PutUint64(m.one[:], 1)
	return m, nil
}

// put leaves a notice. wake tells the reader.
func (m *mailbox) put(n notice) {
	at := m.written.Load()
	if at-m.read.Load() == mailboxSize {
		m.overflow.Store(true)
		return
	}
	m.notices[at%mailboxSize] = n
	m.written.Store(at + 1)
}

// wake wakes the reader. It does not block: the counter would have to come near
// 2^64 for that.
func (m *mailbox) wake() {
	unix.RawSyscall(unix.SYS_WRITE, uintptr(m.fd), uintptr(unsafe.Pointer(&m.one[0])), uintptr(len(m.one)))
}

// take returns the next notice.
func (m *mailbox) take() (notice, bool) {
	at := m.read.Load()
	if at == m.written.Load() {
		return notice{}, false
	}
	n := m.notices[at%mailboxSize]
	m.read.Store(at + 1)
	return n, true
}

// wait blocks until the reader is woken; false once the mailbox is closed.
func (m *mailbox) wait() bool {
	var count [8]byte
	for {
		_, err := unix.Read(m.fd, count[:])
		if !errors.Is(err, unix.EINTR) {
			return err == nil && !m.closed.Load()
		}
	}
}

// end makes wait return false.
func (m *mailbox) end() {
	m.closed.Store(true)
	m.wake()
}

func (m *mailbox) close() { unix.Close(m.fd) }
