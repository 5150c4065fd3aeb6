// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"hafast/internal/config"
)

func TestHAProxyCrashTellsTheSignal(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "haproxy.pid")
	f := startFake(t, "haproxy")
	writeFile(t, pidfile, pids(f.pid()))
	w := watch(t, haproxyOn(pidfile))
	w.want(true, fmt.Sprintf("running, pid %d", f.pid()))
	f.signal(syscall.SIGKILL)
	w.want(false, fmt.Sprintf("killed by signal 9, pid %d", f.pid()))

	g := startFake(t, "haproxy")
	writeFile(t, pidfile, pids(g.pid()))
	w.want(true, fmt.Sprintf("restarted, pid %d -> %d, down for ", f.pid(), g.pid()))
}

func TestHAProxyReloadIsNoFailure(t *testing.T) {
	for _, tc := range []struct {
		name  string
		write func(t *testing.T, path, text string)
	}{
		{"written in place", writeFile},
		{"renamed into place", replaceFile},
		{"removed first", func(t *testing.T, path, text string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, text)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pidfile := filepath.Join(t.TempDir(), "haproxy.pid")
			old, young := startFake(t, "haproxy"), startFake(t, "haproxy")
			writeFile(t, pidfile, pids(old.pid()))
			w := watch(t, haproxyOn(pidfile))
			w.want(true, "running")
			tc.write(t, pidfile, pids(young.pid()))
			w.want(true, fmt.Sprintf("reloaded, pid %d -> %d", old.pid(), young.pid()))

			// The old one has nothing to say any more, the new one has.
			old.signal(syscall.SIGKILL)
			old.reap()
			young.signal(syscall.SIGTERM)
			w.want(false, fmt.Sprintf("killed by signal 15, pid %d", young.pid()))
		})
	}
}

func TestHAProxyPidfileTrouble(t *testing.T) {
	stranger := startFake(t, "nginx")
	dead := startFake(t, "haproxy")
	dead.signal(syscall.SIGKILL)
	dead.reap()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, text)
		return path
	}
	for _, tc := range []struct{ name, pidfile, want string }{
		{"missing", filepath.Join(dir, "none"), "does not exist"},
		{"missing directory", filepath.Join(dir, "no/ne"), "does not exist"},
		{"a directory", dir, "is a directory"},
		{"empty", file("empty", ""), "empty"},
		{"words", file("words", "running\n"), "not a list of process ids"},
		{"negative", file("negative", "-1\n"), "not a list of process ids"},
		{"names another program", file("stranger", pids(stranger.pid())), fmt.Sprintf("names pid %d, which is nginx", stranger.pid())},
		{"names nobody", file("dead", pids(dead.pid())), fmt.Sprintf("names pid %d, which does not run", dead.pid())},
	} {
		t.Run(tc.name, func(t *testing.T) {
			watch(t, haproxyOn(tc.pidfile)).want(false, tc.want)
		})
	}
}

func TestHAProxyAppears(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	pidfile := filepath.Join(dir, "haproxy.pid")
	w := watch(t, haproxyOn(pidfile))
	w.want(false, "does not exist")
	f := startFake(t, "haproxy")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	replaceFile(t, pidfile, pids(f.pid()))
	w.want(true, fmt.Sprintf("running, pid %d", f.pid()))

	// The directory is swapped for another: what is in there counts.
	g := startFake(t, "haproxy")
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, pidfile, pids(g.pid()))
	w.want(true, fmt.Sprintf("reloaded, pid %d -> %d", f.pid(), g.pid()))
	writeFile(t, pidfile, pids(f.pid()))
	w.want(true, fmt.Sprintf("reloaded, pid %d -> %d", g.pid(), f.pid()))
}

func TestHAProxyOutlivesItsPidfile(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "haproxy.pid")
	f := startFake(t, "haproxy")
	stranger := startFake(t, "nginx")
	writeFile(t, pidfile, pids(f.pid()))
	w := watch(t, haproxyOn(pidfile))
	w.want(true, "running")
	writeFile(t, pidfile, pids(stranger.pid()))
	writeFile(t, pidfile, "")
	if err := os.Remove(pidfile); err != nil {
		t.Fatal(err)
	}
	f.signal(syscall.SIGKILL)
	w.want(false, "killed by signal 9") // and nothing before
}

func TestHAProxySeveralProcesses(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "haproxy.pid")
	a, b := startFake(t, "haproxy"), startFake(t, "haproxy")
	writeFile(t, pidfile, pids(a.pid(), b.pid()))
	w := watch(t, haproxyOn(pidfile))
	w.want(true, "running")
	a.signal(syscall.SIGKILL)
	w.want(true, fmt.Sprintf("1 of 2 processes left, pid %d: killed by signal 9, pid %d", b.pid(), a.pid()))
	b.signal(syscall.SIGKILL)
	w.want(false, fmt.Sprintf("killed by signal 9, pid %d", b.pid()))
}

func TestHAProxyAuto(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "haproxy.pid")
	w := watch(t, NewHAProxy(config.HAProxy{Mode: "auto", Pidfile: pidfile}, slog.New(slog.DiscardHandler)))
	w.want(true, "not seen yet, not tracked")
	f := startFake(t, "haproxy")
	writeFile(t, pidfile, pids(f.pid()))
	w.want(true, "running")
	f.signal(syscall.SIGKILL)
	w.want(false, "killed by signal 9")
	f.reap()
	if err := os.Remove(pidfile); err != nil {
		t.Fatal(err)
	}
	g := startFake(t, "haproxy")
	writeFile(t, pidfile, pids(g.pid()))
	w.want(true, "restarted")
}

func TestReplaces(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want bool
	}{
		{"soft", []string{"haproxy", "-f", "x.cfg", "-sf", "11", "12"}, true},
		{"hard", []string{"haproxy", "-st", "12", "-f", "x.cfg"}, true},
		{"another", []string{"haproxy", "-sf", "11"}, false},
		{"list has ended", []string{"haproxy", "-sf", "11", "-n", "12"}, false},
		{"no list", []string{"haproxy", "-n", "12"}, false},
		{"no arguments", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := replaces(tc.args, map[int]bool{12: true}); got != tc.want {
				t.Errorf("replaces(%q) = %v, want %v", tc.args, got, tc.want)
			}
		})
	}
}
