// SPDX-License-Identifier: Apache-2.0

package spawn

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func newSpawner(t *testing.T) *Spawner {
	t.Helper()
	s := New()
	t.Cleanup(s.Close)
	return s
}

func TestSplit(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		args, want []string
		err        error
	}{
		{name: "words", line: " pkill\t-0  haproxy ", want: []string{"pkill", "-0", "haproxy"}},
		{name: "double quotes", line: `a "b  c"d`, want: []string{"a", "b  cd"}},
		{name: "single quotes", line: `a '$b | "c"'`, want: []string{"a", `$b | "c"`}},
		{name: "empty word", line: `a ''`, want: []string{"a", ""}},
		{name: "backslash", line: `a\ b c\"d`, want: []string{"a b", `c"d`}},
		{name: "backslash in double quotes", line: `a "\$b\n"`, want: []string{"a", `$b\n`}},
		{name: "equals sign in an argument", line: `a --b=c`, want: []string{"a", "--b=c"}},
		{name: "arguments", line: `a b`, args: []string{"c d"}, want: []string{"a", "b", "c d"}},
		{name: "pipe", line: `a | b`, want: []string{"/bin/sh", "-c", "a | b"}},
		{name: "variable in double quotes", line: `a "$b"`, want: []string{"/bin/sh", "-c", `a "$b"`}},
		{name: "assignment", line: `A=1 b`, want: []string{"/bin/sh", "-c", "A=1 b"}},
		{name: "shell and arguments", line: `a; b`, args: []string{"c d"}, want: []string{"/bin/sh", "-c", `a; b "$@"`, "sh", "c d"}},
		{name: "nothing", line: "  ", err: ErrEmpty},
		{name: "open quote", line: `a 'b`, err: ErrQuote},
		{name: "last backslash", line: `a \`, err: ErrEscape},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Split(tc.line, tc.args...)
			if !errors.Is(err, tc.err) || !slices.Equal(got, tc.want) {
				t.Errorf("Split(%q) = %q, %v; want %q, %v", tc.line, got, err, tc.want, tc.err)
			}
		})
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"pkill -0 haproxy", `a 'b "c`, `a\`, "a | b", `"$x"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		argv, err := Split(line)
		if (err == nil) != (len(argv) > 0) {
			t.Errorf("Split(%q) = %q, %v", line, argv, err)
		}
	})
}

func TestRunResults(t *testing.T) {
	s := newSpawner(t)
	long := strings.Repeat("x", 3*tailSize)
	for _, tc := range []struct {
		name, line string
		want       Result
		reason     string
	}{
		{"success", "true", Result{}, "exit status 0"},
		{"status", "exit 3", Result{Code: 3}, "exit status 3"},
		{"signal", "kill -9 $$", Result{Code: -1, Signal: syscall.SIGKILL}, "killed by signal 9"},
		{"last line", "echo a; echo b >&2; echo", Result{Output: "b"}, "exit status 0"},
		{"long line", "printf " + long + ";", Result{Output: long[:tailSize]}, "exit status 0"},
		{"terminal escapes", `printf 'a\033[31mb\n';`, Result{Output: "a [31mb"}, "exit status 0"},
		{"background process keeps the output open", "echo a; /bin/sleep 1000 & echo $!", Result{}, "exit status 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			line := tc.line
			if !strings.ContainsAny(line, ";$&") {
				line += ";" // a built-in of the shell
			}
			got, err := s.Run(context.Background(), Command{Line: line}, patience)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(tc.line, "&") && !strings.Contains(tc.line, ">&") {
				killPid(t, got.Output)
				got.Output = ""
			}
			got.Duration = 0
			if got != tc.want || got.Reason() != tc.reason {
				t.Errorf("result = %+v %q, want %+v %q", got, got.Reason(), tc.want, tc.reason)
			}
		})
	}
}

// killPid ends a background process that a test command printed the pid of.
func killPid(t *testing.T, text string) {
	t.Helper()
	pid := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			t.Fatalf("no pid: %q", text)
		}
		pid = 10*pid + int(c-'0')
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestRunStopsTheWholeGroup(t *testing.T) {
	for _, tc := range []struct {
		name, trap string
		cancel     bool
		want       error
	}{
		{"timeout", "", false, ErrTimeout},
		{"timeout, SIGTERM ignored", `trap "" TERM;`, false, ErrTimeout},
		{"context", "", true, context.Canceled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSpawner(t)
			pidfile := filepath.Join(t.TempDir(), "pid")
			p, err := s.Start(Command{Line: tc.trap + "/bin/sleep 1000 & echo $! > " + pidfile + "; wait"})
			if err != nil {
				t.Fatal(err)
			}
			var child string
			eventually.True(t, "the grandchild's pid", func() bool {
				b, _ := os.ReadFile(pidfile)
				child = strings.TrimSpace(string(b))
				return strings.HasSuffix(string(b), "\n")
			})
			p.Stop()
			if p.Result().OK() {
				t.Errorf("result = %+v", p.Result())
			}
			eventually.True(t, "the grandchild is gone", func() bool {
				b, err := os.ReadFile("/proc/" + child + "/stat")
				return err != nil || strings.Contains(string(b), ") Z ")
			})

			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			timeout := time.Millisecond
			if tc.cancel {
				cancel()
				timeout = patience
			}
			if _, err := s.Run(ctx, Command{Line: "/bin/sleep 1000"}, timeout); !errors.Is(err, tc.want) {
				t.Errorf("Run = %v, want %v", err, tc.want)
			}
		})
	}
}

// A child of a daemon that goes first, and whose timers may be late, is an ordinary
// process, whatever thread asked for it.
func TestChildrenAreOrdinary(t *testing.T) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		first := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: -20}
		if err := unix.SchedSetAttr(0, &first, 0); err != nil {
			done <- err
			return
		}
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1_000_000, 0, 0, 0); err != nil {
			done <- err
			return
		}
		s := New() // its thread may descend from this one
		defer s.Close()
		// Field 19 of the stat of the shell itself is its nice value.
		r, err := s.Run(context.Background(), Command{Line: "cut -d' ' -f19 /proc/$$/stat"}, patience)
		if err != nil || r.Output != "0" {
			t.Errorf("nice = %q, %v; want 0", r.Output, err)
		}
		r, err = s.Run(context.Background(), Command{Line: "cat /proc/self/timerslack_ns"}, patience)
		if err != nil || r.Output != "50000" {
			t.Errorf("timer slack = %q, %v; want 50000 ns", r.Output, err)
		}
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Skipf("cannot go first: %v", err)
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("HAFAST_REQUIRE_NETNS") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	s := newSpawner(t)
	for _, tc := range []struct{ user, want string }{
		{"", "0 0 0"},
		{"root", "0 0 0"},
		{"nobody", "65534 65534 65534"},
		{"65534", "65534 65534 65534"},
		{"nobody:daemon", "65534 1"},
		{"nobody daemon", "65534 1"},
	} {
		t.Run("user "+tc.user, func(t *testing.T) {
			r, err := s.Run(context.Background(), Command{Line: "echo $(id -u) $(id -g) $(id -G)", User: tc.user}, patience)
			if err != nil || !strings.HasPrefix(r.Output, tc.want) {
				t.Errorf("ids = %q, %v; want %q", r.Output, err, tc.want)
			}
		})
	}
	for _, user := range []string{"no-such-user", "4000000000", "nobody:no-such-group"} {
		if _, err := s.Start(Command{Line: "true", User: user}); err == nil {
			t.Errorf("Start as %q: no error", user)
		}
	}
}

func TestStartErrors(t *testing.T) {
	s := New()
	if _, err := s.Start(Command{Line: "/nonexistent/command"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing command: %v", err)
	}
	s.Close()
	s.Close()
	if _, err := s.Start(Command{Line: "true"}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
