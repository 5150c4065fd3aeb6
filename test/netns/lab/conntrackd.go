// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
)

// errNoCount is returned for statistics of conntrackd without the number of entries.
var errNoCount = errors.New("no count of the external cache")

// Requests to conntrackd, as its own client sends them (version 1.4.7).
const (
	conntrackdDumpExternal = 17
	conntrackdStatistics   = 21
)

// Replicas is how many of the peer's connections the router would know when it became
// Active: those that conntrackd keeps for the peer, or has put into the kernel's table.
func (k *RouterKeepalived) Replicas(h *Host) (int, error) {
	switch {
	case k.Mode == "":
		return 0, nil
	case !k.KeepsCache():
		return h.ConntrackCount()
	}
	text, err := k.ask(h, conntrackdStatistics)
	if err != nil {
		return 0, err
	}
	return parseExternalCount(text)
}

// KeepsCache reports whether conntrackd keeps to itself what the peer tells, until it is
// made to commit it.
func (k *RouterKeepalived) KeepsCache() bool { return k.Mode != "" && !k.Direct }

// External is what conntrackd keeps for the peer, a connection a line.
func (k *RouterKeepalived) External(h *Host) (string, error) { return k.ask(h, conntrackdDumpExternal) }

func (k *RouterKeepalived) socket(h *Host) string { return h.Path("conntrackd.ctl") }

// ask sends conntrackd a request as its client does, a number in the byte order of
// the machine, and returns the answer.
func (k *RouterKeepalived) ask(h *Host, request uint32) (string, error) {
	conn, err := net.Dial("unix", k.socket(h))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write(binary.NativeEndian.AppendUint32(nil, request)); err != nil {
		return "", fmt.Errorf("ask conntrackd on %s: %w", h.Name, err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return "", fmt.Errorf("conntrackd's answer on %s: %w", h.Name, err)
	}
	return string(answer), nil
}

// externalCount finds the number of entries in the paragraph of the external cache.
var externalCount = regexp.MustCompile(`cache external:\s+current active connections:\s+(\d+)`)

// parseExternalCount reads conntrackd's statistics (`conntrackd -s`).
func parseExternalCount(text string) (int, error) {
	m := externalCount.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%w in %q", errNoCount, text)
	}
	return strconv.Atoi(m[1])
}

// ConntrackCount is how many entries the kernel's table of the host has.
func (h *Host) ConntrackCount() (int, error) {
	text, err := h.Sysctl("net.netfilter.nf_conntrack_count")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}
