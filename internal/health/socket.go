// SPDX-License-Identifier: Apache-2.0

package health

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"time"

	"hafast/internal/config"
)

// maxInfo bounds the answer to "show info", in bytes; haproxy 2.6 sends 2 KiB.
const maxInfo = 64 << 10

// Reasons for the deep check to fail besides those of connecting and reading.
var (
	errNotHAProxy = errors.New("answer is not haproxy's")
	errStopping   = errors.New("haproxy is stopping")
)

// HAProxySocket asks haproxy's stats socket for its state, so that a process
// that runs but does nothing is noticed. Its check is named "haproxy-socket".
type HAProxySocket struct {
	cfg config.HAProxy
	log *slog.Logger
}

// NewHAProxySocket takes Socket, Interval, Timeout, Rise and Fall from cfg.
// Socket is the path of a unix socket, with or without haproxy's "unix@".
func NewHAProxySocket(cfg config.HAProxy, log *slog.Logger) *HAProxySocket {
	cfg.Socket = strings.TrimPrefix(cfg.Socket, "unix@")
	cfg.Interval, cfg.Timeout = pace(cfg.Interval, cfg.Timeout)
	return &HAProxySocket{cfg: cfg, log: log}
}

// Name implements Checker.
func (s *HAProxySocket) Name() string { return NameSocket }

// Run implements Checker.
func (s *HAProxySocket) Run(ctx context.Context, report func(Update)) error {
	state := streak{rise: s.cfg.Rise, fall: s.cfg.Fall}
	return every(ctx, s.cfg.Interval, func() {
		err := s.probe(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.log.Debug("haproxy's stats socket", "error", err)
		}
		if !state.add(err == nil) {
			return
		}
		u := Update{Check: s.Name(), Up: state.up, Detail: "answers", At: time.Now()}
		if err != nil {
			u.Detail = err.Error()
		}
		report(u)
	})
}

// probe asks once. Timeout covers all of it: a stopped process still accepts
// connections through the kernel's backlog, and a slow one may send by bytes.
func (s *HAProxySocket) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", s.cfg.Socket)
	if err != nil {
		return s.explain("connect", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()

	if _, err := io.WriteString(conn, "show info\n"); err != nil {
		return s.explain("ask", err)
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxInfo))
	if err != nil {
		return s.explain("read answer", err)
	}
	return judge(answer)
}

func (s *HAProxySocket) explain(what string, err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("no answer within %v", s.cfg.Timeout)
	}
	var errno syscall.Errno
	if errors.As(err, &errno) { // without net's "dial unix ...: connect:"
		err = errno
	}
	return fmt.Errorf("%s: %w", what, err)
}

// judge reads the answer to "show info" (haproxy management guide, section 9.3).
func judge(answer []byte) error {
	var name, stopping string
	lines := bufio.NewScanner(bytes.NewReader(answer))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch key {
		case "Name":
			name = strings.TrimSpace(value)
		case "Stopping":
			stopping = strings.TrimSpace(value)
		}
	}
	switch {
	case !strings.EqualFold(name, "HAProxy"):
		return errNotHAProxy
	case stopping != "" && stopping != "0": // haproxy before 1.9 does not say
		return errStopping
	}
	return nil
}
