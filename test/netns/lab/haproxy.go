// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// ErrNoHAProxy is returned where a haproxy was expected to run on the host.
var ErrNoHAProxy = errors.New("haproxy is not running")

// HAProxyPIDFile is where the pid of the host's haproxy is kept.
func (h *Host) HAProxyPIDFile() string { return h.Path("haproxy.pid") }

// HAProxySocket is the stats socket of the host's haproxy.
func (h *Host) HAProxySocket() string { return h.Path("haproxy.sock") }

// StartHAProxy starts haproxy and returns once it accepts connections and
// its pidfile is written.
//
// Haproxy stays in the foreground, so that it is this process's child and gone
// when it is killed: as a daemon it would belong to the machine's init, and where that
// is no reaper a dead haproxy would still have a pid. The lab writes the pidfile
// in its place.
func (h *Host) StartHAProxy(ctx context.Context) error {
	return h.startHAProxy(ctx)
}

// ReloadHAProxy starts a new haproxy that takes over from the running one
// (-sf), and returns when the old one has been told to finish and the pidfile
// names the new one. The old one lives on until its connections have ended.
func (h *Host) ReloadHAProxy(ctx context.Context) error {
	old := h.HAProxy()
	if old == nil {
		return fmt.Errorf("reload on %s: %w", h.Name, ErrNoHAProxy)
	}
	return h.startHAProxy(ctx, "-sf", strconv.Itoa(old.PID()))
}

// KillHAProxy kills the host's haproxy with SIGKILL and returns when it is gone.
func (h *Host) KillHAProxy() error {
	p := h.HAProxy()
	if p == nil {
		return fmt.Errorf("kill on %s: %w", h.Name, ErrNoHAProxy)
	}
	p.Kill()
	return nil
}

// HAProxy returns the running haproxy, nil if there is none.
func (h *Host) HAProxy() *Proc {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.haproxy == nil || h.haproxy.Exited() {
		return nil
	}
	return h.haproxy
}

func (h *Host) startHAProxy(ctx context.Context, args ...string) error {
	config := h.Path("haproxy.cfg")
	if err := render(config, "haproxy.cfg", map[string]any{
		"StatsSocket": h.HAProxySocket(),
		"Web":         h.lab.Web().Addr,
		"HTTPPort":    HTTPPort,
		"HeldPort":    HeldPort,
		"EchoPort":    echoPort,
	}); err != nil {
		return err
	}
	p, err := h.Start("haproxy", append([]string{"haproxy", "-db", "-f", config}, args...)...)
	if err != nil {
		return err
	}
	if err := errors.Join(h.confine(p), h.awaitHAProxy(ctx, p)); err != nil {
		p.Kill()
		return fmt.Errorf("haproxy on %s: %w; it says: %s", h.Name, err, p.Log())
	}
	// A reader sees the old pid or the new one, never half of one.
	next := h.HAProxyPIDFile() + ".new"
	if err := os.WriteFile(next, []byte(strconv.Itoa(p.PID())+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.Rename(next, h.HAProxyPIDFile()); err != nil {
		return err
	}
	h.mu.Lock()
	h.haproxy = p
	h.mu.Unlock()
	return nil
}

// awaitHAProxy waits until the process answers on the stats socket, or has
// died. Haproxy binds all its ports before that, and during a reload the
// answer tells the new process from the old one.
func (h *Host) awaitHAProxy(ctx context.Context, p *Proc) error {
	err := Eventually(ctx, "haproxy to answer", func() bool {
		pid, err := h.askHAProxyPID(ctx)
		return p.Exited() || err == nil && pid == p.PID()
	})
	if err == nil && p.Exited() {
		return fmt.Errorf("%s exited: %w", p.Name, p.Err())
	}
	return err
}

// askHAProxyPID asks whoever serves the stats socket for its pid.
func (h *Host) askHAProxyPID(ctx context.Context) (int, error) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", h.HAProxySocket())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return 0, err
	}
	if _, err := conn.Write([]byte("show info\n")); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if digits, ok := strings.CutPrefix(lines.Text(), "Pid: "); ok {
			return strconv.Atoi(digits)
		}
	}
	return 0, errors.Join(errors.New("no pid in the answer"), lines.Err())
}
