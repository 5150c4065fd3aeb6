// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hafast/internal/eventually"
)

// haproxy is an installed one, in the test's namespace.
type haproxy struct {
	t       *testing.T
	bin     string
	cfg     string
	pidfile string
	seen    map[int]bool
}

func newHAProxy(t *testing.T) *haproxy {
	t.Helper()
	bin, err := exec.LookPath("haproxy")
	if err != nil {
		if os.Getenv("HAFAST_REQUIRE_NETNS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	// A short path: a unix socket's is limited to 107 bytes.
	dir, err := os.MkdirTemp("", "hfsockets")
	if err != nil {
		t.Fatal(err)
	}
	h := &haproxy{
		t: t, bin: bin, seen: make(map[int]bool),
		cfg: filepath.Join(dir, "haproxy.cfg"), pidfile: filepath.Join(dir, "haproxy.pid"),
	}
	t.Cleanup(func() {
		for pid := range h.seen {
			// A master takes its workers along.
			if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(args), h.cfg) {
				_ = syscall.Kill(pid, syscall.SIGTERM)
				eventually.True(t, "haproxy ends", func() bool { return syscall.Kill(pid, 0) != nil })
			}
		}
		_ = os.RemoveAll(dir)
	})
	return h
}

// configure writes the configuration, with these bind lines.
func (h *haproxy) configure(binds ...string) {
	h.t.Helper()
	text := fmt.Sprintf(`
global
  maxconn 100
  pidfile %s
  stats socket %s expose-fd listeners
  log 10.0.0.1:514 local0
defaults
  mode tcp
  log global
  timeout connect 1s
  timeout client 1s
  timeout server 1s
listen l
  server s 10.0.0.1:9
`, h.pidfile, h.stats())
	for _, b := range binds {
		text += "  bind " + b + "\n"
	}
	if err := os.WriteFile(h.cfg, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *haproxy) stats() string { return filepath.Join(filepath.Dir(h.cfg), "stats") }

func (h *haproxy) run(args ...string) {
	h.t.Helper()
	cmd := exec.Command(h.bin, append([]string{"-D", "-f", h.cfg}, args...)...)
	if err := cmd.Run(); err != nil {
		h.t.Fatalf("%v: %v", cmd.Args, err)
	}
	eventually.True(h.t, "haproxy writes its pidfile", func() bool { return h.pid() != 0 })
}

// pid is what the pidfile says; 0 while there is none.
func (h *haproxy) pid() int {
	text, err := os.ReadFile(h.pidfile)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	h.seen[pid] = true
	return pid
}

// settled tells that a master is through with starting a worker: it then executes
// itself once more, and takes signals.
func settled(master int) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", master))
	if err != nil || !strings.Contains(string(env), "HAPROXY_MWORKER_WAIT_ONLY") {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", master))
	if err != nil {
		return false
	}
	var caught uint64
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "SigCgt:\t%x", &caught); err == nil {
			return caught&(1<<(syscall.SIGUSR2-1)) != 0
		}
	}
	return false
}

// serves waits until haproxy's sockets make these services.
func (h *haproxy) serves(r *Reader, want []Service) {
	h.t.Helper()
	var last []Service
	defer func() {
		if h.t.Failed() {
			h.t.Logf("last seen: %v", last)
		}
	}()
	eventually.True(h.t, fmt.Sprintf("haproxy serves %v", want), func() bool {
		var err error
		last, err = r.Listening([]int{h.pid()}, vips())
		if err != nil {
			h.t.Fatal(err)
		}
		return same(want, last) == ""
	})
}

func TestRealHAProxy(t *testing.T) {
	for _, mode := range []string{"single", "master-worker"} {
		t.Run(mode, func(t *testing.T) {
			r := host(t)
			stranger(t, "10.0.0.9:22")
			h := newHAProxy(t)
			first := list("tcp", "10.0.0.9:80", "tcp", "[fd00::9]:80")
			h.configure("10.0.0.9:80", "fd00::9:80", "10.0.0.1:8404")
			reload := func() { h.run("-sf", fmt.Sprint(h.pid())) }
			if mode == "single" {
				h.run()
			} else {
				h.run("-W")
				master := h.pid()
				reload = func() {
					eventually.True(t, "the master takes signals", func() bool { return settled(master) })
					if err := syscall.Kill(master, syscall.SIGUSR2); err != nil {
						t.Fatal(err)
					}
				}
			}
			h.serves(r, first)

			second := list("tcp", "10.0.0.8:443", "tcp", "10.0.0.9:80", "tcp", "10.0.0.9:443")
			h.configure("10.0.0.9:80", ":443")
			reload()
			h.serves(r, second)

			third := list("tcp", "[fd00::8]:80", "tcp", "[fd00::9]:80")
			h.configure(":::80 v6only")
			if mode == "single" {
				// The new process takes the listeners over from the old one.
				h.run("-x", h.stats(), "-sf", fmt.Sprint(h.pid()))
			} else {
				reload()
			}
			h.serves(r, third)
		})
	}
}
