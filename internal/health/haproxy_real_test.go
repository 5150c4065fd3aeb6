// SPDX-License-Identifier: Apache-2.0

package health

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hafast/internal/config"
	"hafast/internal/eventually"
)

// realHAProxy is an installed haproxy with a configuration of its own.
type realHAProxy struct {
	t               *testing.T
	bin, cfg        string
	pidfile, socket string
	seen            map[int]bool
}

func newRealHAProxy(t *testing.T) *realHAProxy {
	t.Helper()
	bin, err := exec.LookPath("haproxy")
	if err != nil {
		if os.Getenv("HAFAST_REQUIRE_NETNS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	// A short path: a unix socket's is limited to 107 bytes.
	dir, err := os.MkdirTemp("", "hfhealth")
	if err != nil {
		t.Fatal(err)
	}
	r := &realHAProxy{
		t: t, bin: bin, seen: make(map[int]bool),
		cfg:     filepath.Join(dir, "haproxy.cfg"),
		pidfile: filepath.Join(dir, "haproxy.pid"),
		socket:  filepath.Join(dir, "stats"),
	}
	t.Cleanup(func() {
		r.pid()
		for pid := range r.seen {
			for _, w := range readChildren(pid) {
				r.kill(w, syscall.SIGKILL)
			}
			r.kill(pid, syscall.SIGKILL)
		}
		_ = os.RemoveAll(dir)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	writeFile(t, r.cfg, fmt.Sprintf(`
global
  maxconn 100
  pidfile %s
  stats socket %s
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend f
  bind %s
`, r.pidfile, r.socket, addr))
	return r
}

// run starts haproxy in the background of the system, as init scripts do.
func (r *realHAProxy) run(args ...string) {
	r.t.Helper()
	cmd := exec.Command(r.bin, append([]string{"-D", "-f", r.cfg}, args...)...)
	// Not a pipe: the daemon would keep it open.
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("%v: %v", cmd.Args, err)
	}
	// A master writes it after the foreground process has gone.
	eventually.True(r.t, "haproxy writes its pidfile", func() bool { return r.pid() != 0 })
}

func (r *realHAProxy) pid() int {
	pid := pidIn(r.pidfile)
	if pid > 0 {
		r.seen[pid] = true
	}
	return pid
}

// kill signals a process only while it is a haproxy of this test.
func (r *realHAProxy) kill(pid int, sig syscall.Signal) {
	if strings.Contains(strings.Join(readArgs(pid), " "), r.cfg) {
		_ = syscall.Kill(pid, sig)
	}
}

// worker is the master's only child, 0 while it has none or an old one drains.
func (r *realHAProxy) worker() int {
	children := readChildren(r.pid())
	if len(children) != 1 {
		return 0
	}
	return children[0]
}

func TestRealHAProxyKillAndRestart(t *testing.T) {
	r := newRealHAProxy(t)
	r.run()
	w := watch(t, haproxyOn(r.pidfile))
	w.want(true, "running")
	var took []time.Duration
	for range 5 {
		old, start := r.pid(), time.Now()
		r.kill(old, syscall.SIGKILL)
		w.wantKilled(old)
		took = append(took, time.Since(start))
		r.run()
		w.want(true, fmt.Sprintf("restarted, pid %d -> %d, down for ", old, r.pid()))
	}
	t.Logf("from kill -9 to the report: %v", took)
	w.silent()
	w.skipIfStatusUnknown()
}

func TestRealHAProxySoftReload(t *testing.T) {
	r := newRealHAProxy(t)
	r.run()
	w := watch(t, haproxyOn(r.pidfile))
	w.want(true, "running")
	for range 10 {
		old := r.pid()
		r.run("-sf", fmt.Sprint(old))
		w.upUntil(fmt.Sprintf("reloaded, pid %d -> %d", old, r.pid()))
		eventually.True(t, "the old process ends", func() bool {
			st, err := readStat(old)
			return err != nil || st.zombie()
		})
	}
	w.silent()
}

func TestRealHAProxyMasterWorker(t *testing.T) {
	r := newRealHAProxy(t)
	r.run("-W")
	w := watch(t, haproxyOn(r.pidfile))
	w.want(true, "running")
	master := r.pid()
	for range 5 {
		eventually.True(t, "the master has a worker", func() bool { return r.worker() != 0 && isSettled(master) })
		old := r.worker()
		r.kill(master, syscall.SIGUSR2)
		w.upUntil(fmt.Sprintf("(worker %d) -> %d (worker", old, master))
		if r.pid() != master {
			t.Fatalf("pid %d became %d", master, r.pid())
		}
	}
	w.silent()

	eventually.True(t, "the master has settled", func() bool { return r.worker() != 0 && isSettled(master) })
	worker, start := r.worker(), time.Now()
	r.kill(worker, syscall.SIGKILL)
	if got := w.wantKilled(worker); !strings.HasPrefix(got.Detail, "worker ") {
		t.Errorf("the report is %q, want it to be of a worker", got.Detail)
	}
	t.Logf("from killing the worker to the report: %v", time.Since(start))
	w.skipIfStatusUnknown()
}

// wantKilled demands the report that a haproxy was killed. How a process ended that is
// another's child can be asked for from Linux 6.15 on; before, the report says so, unless
// it came before somebody had waited for the process. The test goes on, and counts
// as skipped at its end.
func (w *watched) wantKilled(pid int) Update {
	w.t.Helper()
	u := w.next()
	unknown := fmt.Sprintf("exited, status unknown to this kernel, pid %d", pid)
	switch {
	case u.Up:
		w.t.Fatalf("up: %q", u.Detail)
	case strings.Contains(u.Detail, unknown):
		w.statusUnknown = true
	case !strings.Contains(u.Detail, fmt.Sprintf("killed by signal 9, pid %d", pid)):
		w.t.Fatalf("update is %q, want a kill of %d", u.Detail, pid)
	}
	return u
}

// skipIfStatusUnknown ends a test that has not seen how a haproxy ended.
func (w *watched) skipIfStatusUnknown() {
	w.t.Helper()
	if w.statusUnknown {
		w.t.Skip("that haproxy was killed could not be seen: needs Linux 6.15")
	}
}

// isSettled tells that a master is through with starting a worker: it then
// executes itself once more, without -sf, and takes signals.
func isSettled(master int) bool {
	env, err := os.ReadFile(procPath(master, "environ"))
	if err != nil || !bytes.Contains(env, []byte("HAPROXY_MWORKER_WAIT_ONLY")) {
		return false
	}
	caught, err := os.ReadFile(procPath(master, "status"))
	if err != nil {
		return false
	}
	var mask uint64
	for line := range strings.Lines(string(caught)) {
		if _, err := fmt.Sscanf(line, "SigCgt:\t%x", &mask); err == nil {
			return mask&(1<<(syscall.SIGUSR2-1)) != 0
		}
	}
	return false
}

func TestRealHAProxySocket(t *testing.T) {
	r := newRealHAProxy(t)
	r.run()
	w := watch(t, NewHAProxySocket(config.HAProxy{
		Socket:   r.socket,
		Interval: 20 * time.Millisecond, Timeout: 200 * time.Millisecond,
		Rise: 2, Fall: 2,
	}, slog.New(slog.DiscardHandler)))
	w.want(true, "answers")
	r.kill(r.pid(), syscall.SIGSTOP)
	w.want(false, "no answer within 200ms")
	r.kill(r.pid(), syscall.SIGCONT)
	w.want(true, "answers")
	r.kill(r.pid(), syscall.SIGKILL)
	w.want(false, "connection refused")
}
