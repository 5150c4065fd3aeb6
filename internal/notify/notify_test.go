// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hafast/internal/eventually"
	"hafast/internal/spawn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// newRunner returns a Runner and a function that ends its Run and waits.
func newRunner(t *testing.T) (r *Runner, run, stop func()) {
	t.Helper()
	s := spawn.New()
	r = New(s, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	run = func() {
		go func() {
			defer close(done)
			if err := r.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		}()
	}
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(func() {
		stop()
		s.Close()
	})
	return r, run, stop
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return "/bin/sh " + path // not executed itself: it may still be open for writing in another fork
}

func TestArgumentsAreKeepalived(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	cmd := script(t, `for a; do line="$line<$a>"; done; echo "$line" >> `+out)
	r, run, stop := newRunner(t)
	run()
	r.Notify(Notification{
		Kind: Instance, Name: "VI 1", State: Master, Priority: 101,
		Command: cmd + " alone", Any: cmd + " own",
	})
	r.Notify(Notification{Kind: Instance, Name: "VI 1", State: Backup, Priority: 101, Any: "x=1; " + cmd})
	r.Notify(Notification{Kind: Instance, Name: "VI 1", State: Fault, Priority: 0, Any: cmd})
	stop()
	got := read(t, out)
	for _, want := range []string{
		"<alone>\n<own><INSTANCE><VI 1><MASTER><101>\n",
		"\n<INSTANCE><VI 1><BACKUP><101>\n",
		"\n<INSTANCE><VI 1><FAULT><0>\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("output %q lacks %q", got, want)
		}
	}
	if n := r.Failed(); n != 0 {
		t.Errorf("failed = %d", n)
	}
}

func TestOneKeyIsInOrder(t *testing.T) {
	dir := t.TempDir()
	out, lock := filepath.Join(dir, "out"), filepath.Join(dir, "lock")
	cmd := script(t, "mkdir "+lock+" || exit 1; echo $3 $4 >> "+out+"; rmdir "+lock)
	r, run, stop := newRunner(t)
	run()
	var want strings.Builder
	for i := range 10 {
		state := []State{Backup, Master}[i%2]
		r.Notify(Notification{Kind: Instance, Name: "VI_1", State: state, Priority: uint8(i), Any: cmd})
		fmt.Fprintln(&want, state, i)
	}
	stop()
	if got := read(t, out); got != want.String() || r.Failed() != 0 {
		t.Errorf("ran %q, %d failed; want %q", got, r.Failed(), &want)
	}
}

func TestKeysRunSideBySide(t *testing.T) {
	dir := t.TempDir()
	// Each waits for the other, through a pair of named pipes.
	meet := func(mine, other string) string {
		return fmt.Sprintf("echo > %s/%s & read x < %s/%s; #", dir, mine, dir, other)
	}
	r, run, stop := newRunner(t)
	s := spawn.New()
	defer s.Close()
	for _, name := range []string{"a", "b"} {
		res, err := s.Run(context.Background(), spawn.Command{Line: "mkfifo " + dir + "/" + name}, patience)
		if err != nil || !res.OK() {
			t.Fatal(res, err)
		}
	}
	r.Notify(Notification{Kind: Instance, Name: "VI_1", State: Master, Any: meet("a", "b")})
	r.Notify(Notification{Kind: Group, Name: "VI_1", State: Master, Any: meet("b", "a")})
	run()
	stop()
	if r.Failed() != 0 || r.Dropped() != 0 {
		t.Errorf("failed = %d, dropped = %d", r.Failed(), r.Dropped())
	}
}

func TestOverflowDropsTheOldest(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	cmd := script(t, "echo $4 >> "+out)
	r, run, stop := newRunner(t)
	const sent = queueSize + 3
	for i := range sent { // nothing runs yet, and Notify does not wait
		r.Notify(Notification{Kind: Instance, Name: "VI_1", State: Master, Priority: uint8(i), Any: cmd})
	}
	run()
	stop()
	var want strings.Builder
	for i := 3; i < sent; i++ {
		fmt.Fprintln(&want, i)
	}
	if got := read(t, out); got != want.String() {
		t.Errorf("ran %q, want %q", got, &want)
	}
	if r.Dropped() != 3 {
		t.Errorf("dropped = %d, want 3", r.Dropped())
	}
}

func TestStopCommandsAreRunAtShutdown(t *testing.T) {
	dir := t.TempDir()
	started, release, out := filepath.Join(dir, "started"), filepath.Join(dir, "release"), filepath.Join(dir, "out")
	r, run, stop := newRunner(t)
	run()
	r.Notify(Notification{
		Kind: Instance, Name: "VI_1", State: Backup,
		Any: "touch " + started + "; until test -e " + release + "; do /bin/sleep 0.01; done; true",
	})
	eventually.True(t, "the first command runs", func() bool { _, err := os.Stat(started); return err == nil })
	r.Notify(Notification{Kind: Instance, Name: "VI_1", State: Stop, Any: "touch " + release + "; #"})
	// STOP of another key sets the first command free, while Run is ending.
	r.Notify(Notification{Kind: Instance, Name: "VI_2", State: Stop, Any: "echo $3 > " + out + "; touch " + release + "; #"})
	stop()
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
	if r.Failed() != 0 || r.Dropped() != 0 {
		t.Errorf("failed = %d, dropped = %d", r.Failed(), r.Dropped())
	}

	r.Notify(Notification{Kind: Instance, Name: "VI_1", State: Master, Any: "true"})
	if r.Dropped() != 1 {
		t.Errorf("dropped after the end = %d, want 1", r.Dropped())
	}
}

func TestFailuresAreCounted(t *testing.T) {
	for _, tc := range []struct{ name, command, user string }{
		{"status", "false", ""},
		{"not found", "/nonexistent/notify", ""},
		{"unknown user", "true", "no-such-user"},
		{"bad quoting", "echo 'x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, run, stop := newRunner(t)
			run()
			r.Notify(Notification{Kind: Instance, Name: "VI_1", State: Fault, Any: tc.command, User: tc.user})
			stop()
			if r.Failed() != 1 {
				t.Errorf("failed = %d, want 1", r.Failed())
			}
		})
	}
}
