// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Host is where a Tap is placed.
type Host interface {
	// Do runs fn inside the host's network namespace.
	Do(fn func() error) error
}

// Tap records all frames that an interface sends and receives from Open to Close.
// Its methods may be called from several goroutines.
type Tap struct {
	file *os.File
	done chan struct{}

	mu     sync.Mutex
	frames []Frame
	err    error
	// more is closed and replaced whenever there is something new.
	more chan struct{}
}

// receiveBuffer holds a few thousand frames for a reader that is kept waiting.
const receiveBuffer = 4 << 20

// Open starts to record on the host's interface of that name.
func Open(h Host, link string) (*Tap, error) {
	var fd int
	err := h.Do(func() (err error) {
		fd, err = open(link)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tap on %s: %w", link, err)
	}
	t := &Tap{file: os.NewFile(uintptr(fd), "tap on "+link), done: make(chan struct{}), more: make(chan struct{})}
	conn, err := t.file.SyscallConn()
	if err != nil {
		t.file.Close()
		return nil, fmt.Errorf("tap on %s: %w", link, err)
	}
	go t.run(conn)
	return t, nil
}

func open(link string) (int, error) {
	ifi, err := net.InterfaceByName(link)
	if err != nil {
		return -1, err
	}
	// Protocol 0 hears nothing until the bind, so that nothing of other
	// interfaces is in the queue.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{
			Protocol: binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}), Ifindex: ifi.Index,
		}),
	)
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Close stops recording. What was recorded stays readable.
func (t *Tap) Close() error {
	err := t.file.Close()
	<-t.done
	return err
}

// Send puts a complete Ethernet frame on the wire. The Tap itself does not record it.
func (t *Tap) Send(frame []byte) error {
	_, err := t.file.Write(frame)
	return err
}

// Since returns the frames from that moment on, in the order in which the kernel
// saw them.
func (t *Tap) Since(start time.Time) []Frame {
	frames, _, _ := t.read(start)
	return frames
}

// Await waits for a frame that matches, from that moment on, and returns the first.
// The error says what was waited for when ctx ends before.
func (t *Tap) Await(ctx context.Context, start time.Time, what string, match func(Frame) bool) (Frame, error) {
	seen := 0
	for {
		frames, more, err := t.read(start)
		for _, f := range frames[seen:] {
			if match(f) {
				return f, nil
			}
		}
		seen = len(frames)
		if err != nil {
			return Frame{}, fmt.Errorf("waiting for %s: %w", what, err)
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Frame{}, fmt.Errorf("waiting for %s: %w; %d other frames", what, context.Cause(ctx), seen)
		}
	}
}

func (t *Tap) read(start time.Time) ([]Frame, <-chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, f := range t.frames {
		if !f.Time.Before(start) {
			return t.frames[i:len(t.frames):len(t.frames)], t.more, t.err
		}
	}
	return nil, t.more, t.err
}

func (t *Tap) run(conn syscall.RawConn) {
	defer close(t.done)
	buf := make([]byte, 1<<16)
	for {
		f, err := receive(conn, buf)
		if errors.Is(err, unix.ENETDOWN) {
			continue // the interface went down; the socket lives on
		}
		t.mu.Lock()
		if err != nil {
			t.err = err
		} else {
			t.frames = append(t.frames, f)
		}
		close(t.more)
		t.more = make(chan struct{})
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// receive waits for one frame. The kernel stamps it when it comes in from the
// driver or goes out to it.
func receive(conn syscall.RawConn, buf []byte) (Frame, error) {
	var n, oobn int
	var from unix.Sockaddr
	var failure error
	oob := make([]byte, unix.CmsgSpace(int(unsafe.Sizeof(unix.Timespec{}))))
	err := conn.Read(func(fd uintptr) bool {
		n, oobn, _, from, failure = unix.Recvmsg(int(fd), buf, oob, 0)
		return !errors.Is(failure, unix.EAGAIN) && !errors.Is(failure, unix.EINTR)
	})
	if err = errors.Join(err, failure); err != nil {
		return Frame{}, err
	}
	at, err := stamp(oob[:oobn])
	if err != nil {
		return Frame{}, err
	}
	f := Frame{Time: at, Data: append([]byte(nil), buf[:n]...)}
	if ll, ok := from.(*unix.SockaddrLinklayer); ok {
		f.Outgoing = ll.Pkttype == unix.PACKET_OUTGOING
	}
	return f, nil
}

func stamp(oob []byte) (time.Time, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(
				int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])),
			), nil
		}
	}
	return time.Time{}, errors.New("frame without a time stamp")
}
