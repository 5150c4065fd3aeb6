// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hafast/internal/config"
	"hafast/internal/eventually"
	"hafast/internal/spawn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen; nothing waits for it
// when all is well.
const patience = 20 * time.Second

// watched is a running checker and what it reports.
type watched struct {
	t       *testing.T
	updates chan Update
	// statusUnknown says that the kernel did not know how a process ended.
	statusUnknown bool
}

func watch(t *testing.T, c Checker) *watched {
	t.Helper()
	w := &watched{t: t, updates: make(chan Update, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, func(u Update) { w.updates <- u }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w
}

// next is the next update.
func (w *watched) next() Update {
	w.t.Helper()
	select {
	case u := <-w.updates:
		w.t.Logf("%s up=%v value=%d %q", u.Check, u.Up, u.Value, u.Detail)
		return u
	case <-time.After(patience):
		w.t.Fatal("no update")
		return Update{}
	}
}

// want demands the next update's state and a part of its detail.
func (w *watched) want(up bool, detail string) Update {
	w.t.Helper()
	u := w.next()
	if u.Up != up || !strings.Contains(u.Detail, detail) {
		w.t.Fatalf("update is up=%v %q, want up=%v with %q", u.Up, u.Detail, up, detail)
	}
	return u
}

// upUntil takes updates until one has the detail; none may be down.
func (w *watched) upUntil(detail string) Update {
	w.t.Helper()
	for {
		u := w.next()
		if !u.Up {
			w.t.Fatalf("down: %q", u.Detail)
		}
		if strings.Contains(u.Detail, detail) {
			return u
		}
	}
}

// silent demands that nothing was reported up to now.
func (w *watched) silent() {
	w.t.Helper()
	select {
	case u := <-w.updates:
		w.t.Fatalf("unwanted update up=%v %q", u.Up, u.Detail)
	default:
	}
}

// fake is a process that bears a chosen command name and sleeps.
type fake struct {
	t    *testing.T
	cmd  *exec.Cmd
	done bool
}

func startFake(t *testing.T, name string) *fake {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	script, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Skipf("no /bin/sleep to copy: %v", err)
	}
	if err := os.WriteFile(path, script, 0o755); err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, cmd: exec.Command(path, "1000")}
	// A fork elsewhere in this test binary may still hold the file open for
	// writing, between its fork and its exec.
	eventually.True(t, "start "+name, func() bool {
		err := f.cmd.Start()
		if errors.Is(err, syscall.ETXTBSY) {
			f.cmd = exec.Command(path, "1000")
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		return true
	})
	t.Cleanup(func() {
		_ = f.cmd.Process.Kill()
		f.reap()
	})
	// Start returns in the middle of execve(2), a little before the new name.
	eventually.True(t, "the process bears its name", func() bool {
		comm, err := readComm(f.pid())
		return err == nil && comm == name[:min(len(name), maxComm)]
	})
	return f
}

func (f *fake) pid() int { return f.cmd.Process.Pid }

func (f *fake) signal(s syscall.Signal) {
	f.t.Helper()
	if err := f.cmd.Process.Signal(s); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) reap() {
	if !f.done {
		_ = f.cmd.Wait()
		f.done = true
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replaceFile puts a file in place by a rename.
func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	writeFile(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func pids(list ...int) string {
	var b strings.Builder
	for _, p := range list {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

func haproxyOn(pidfile string) *HAProxy {
	return NewHAProxy(config.HAProxy{Mode: "on", Pidfile: pidfile}, slog.New(slog.DiscardHandler))
}

func newSpawner(t *testing.T) *spawn.Spawner {
	t.Helper()
	s := spawn.New()
	t.Cleanup(s.Close)
	return s
}

func pidIn(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}
