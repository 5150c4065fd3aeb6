// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

const (
	// captureBuffer holds the announcements of a thousand VIPs, five times over, and
	// more: what the kernel charges for a frame is a multiple of its size.
	captureBuffer = 64 << 20
	// longestFrame is more than an Ethernet frame has.
	longestFrame = 2048
)

// errDropped is returned when the capture cannot vouch for what it has not seen.
var errDropped = errors.New("the capture lost frames")

// capture records what a host's interface receives. Frames wait in the kernel's
// buffer with the time they arrived, until drain is called: so the one who looks
// does not take the processor from those who are looked at.
type capture struct {
	fd    int
	frame []byte
	oob   []byte
}

func newCapture(h *lab.Host) (*capture, error) {
	c := &capture{fd: -1, frame: make([]byte, longestFrame), oob: make([]byte, 128)}
	if err := h.Do(c.open); err != nil {
		c.close()
		return nil, fmt.Errorf("capture on %s: %w", h.Name, err)
	}
	return c, nil
}

// open runs inside the host.
func (c *capture) open() (err error) {
	ifi, err := net.InterfaceByName(lab.Interface)
	if err != nil {
		return err
	}
	// No protocol: nothing is received before the socket is bound.
	if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return err
	}
	// The force is needed: the sysctl's limit is for everybody and low.
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	return unix.Bind(c.fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index, Protocol: networkOrder(unix.ETH_P_ALL)})
}

// drain passes on the sightings that have come in since the last call.
func (c *capture) drain(see func(Sighting)) error {
	for {
		n, oobn, _, from, err := unix.Recvmsg(c.fd, c.frame, c.oob, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return c.lost()
		case err != nil:
			return fmt.Errorf("capture: %w", err)
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		at, ok := timestamp(c.oob[:oobn])
		if !ok {
			return errors.New("capture: frame without a timestamp")
		}
		if s, ok := parseFrame(c.frame[:n], at); ok {
			see(s)
		}
	}
}

// lost fails if frames were dropped since it was last asked.
func (c *capture) lost() error {
	stats, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	if stats.Drops > 0 {
		return fmt.Errorf("%w: %d", errDropped, stats.Drops)
	}
	return nil
}

func (c *capture) close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
	}
}

// timestamp finds the time of arrival among the control messages.
func timestamp(oob []byte) (int64, bool) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS &&
			len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			seconds := int64(binary.NativeEndian.Uint64(m.Data))
			return seconds*1e9 + int64(binary.NativeEndian.Uint64(m.Data[8:])), true
		}
	}
	return 0, false
}

// networkOrder swaps a protocol's bytes where the machine's order asks for it.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
