// SPDX-License-Identifier: Apache-2.0

package path

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"hafast/test/netns/lab"
)

// sink takes datagrams on a host and counts them.
//
// It is a socket that nobody reads: its small buffer is full after a few datagrams,
// and the kernel counts and drops the rest. A reader would need as much time as
// the way that is measured.
type sink struct {
	host *lab.Host
	conn net.PacketConn
}

// openSink opens the socket on the host.
func openSink(h *lab.Host) (*sink, error) {
	s := &sink{host: h}
	err := h.Do(func() error {
		var err error
		s.conn, err = (&net.ListenConfig{}).ListenPacket(context.Background(), "udp4", ":"+strconv.Itoa(sinkPort))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: UDP sink: %w", h.Name, err)
	}
	// The kernel raises it to its least.
	if err := s.conn.(*net.UDPConn).SetReadBuffer(1); err != nil {
		return nil, errors.Join(err, s.conn.Close())
	}
	return s, nil
}

func (s *sink) close() error { return s.conn.Close() }

// arrived is how many datagrams have come to the host so far, for this port or
// another: nothing else in the lab sends any in number.
func (s *sink) arrived() (n uint64, err error) {
	err = s.host.Do(func() error {
		// /proc/net would be that of the process's first thread.
		b, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		n, err = parseArrived(string(b))
		return err
	})
	return n, err
}

// parseArrived adds up the datagrams that were read and those that no buffer had room
// for (RFC 4113: udpInDatagrams, udpInErrors), from the two lines of /proc/net/snmp.
func parseArrived(snmp string) (uint64, error) {
	var names []string
	for line := range strings.Lines(snmp) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "Udp:":
		case names == nil:
			names = fields
		case len(fields) != len(names):
			return 0, fmt.Errorf("%d values for %d names of UDP's counters", len(fields), len(names))
		default:
			var sum uint64
			for i, name := range names {
				if name == "InDatagrams" || name == "InErrors" {
					n, err := strconv.ParseUint(fields[i], 10, 64)
					if err != nil {
						return 0, err
					}
					sum += n
				}
			}
			return sum, nil
		}
	}
	return 0, errors.New("no counters of UDP")
}
