// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hafast/internal/config"
	"hafast/internal/eventually"
)

func TestStreak(t *testing.T) {
	for _, tc := range []struct {
		name       string
		rise, fall int
		results    string // + good, - bad
		want       string // U or D at a change, . at none
	}{
		{"first result counts at once", 3, 3, "+", "U"},
		{"first failure counts at once", 3, 3, "-", "D"},
		{"fall", 1, 3, "+---", "U..D"},
		{"rise", 2, 1, "-++", "D.U"},
		{"a good one starts the count again", 1, 2, "+-+--", "U...D"},
		{"zero means one", 0, 0, "+-+", "UDU"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := streak{rise: tc.rise, fall: tc.fall}
			var got strings.Builder
			for _, r := range tc.results {
				switch changed := s.add(r == '+'); {
				case !changed:
					got.WriteByte('.')
				case s.up:
					got.WriteByte('U')
				default:
					got.WriteByte('D')
				}
			}
			if got.String() != tc.want {
				t.Errorf("%s gives %s, want %s", tc.results, &got, tc.want)
			}
		})
	}
}

func newScript(t *testing.T, cfg config.Script) *Script {
	t.Helper()
	cfg.Name = "chk"
	if cfg.Interval == 0 {
		cfg.Interval = 10 * time.Millisecond
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = patience
	}
	s, err := NewScript(cfg, newSpawner(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScriptFollowsItsExitStatus(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	w := watch(t, newScript(t, config.Script{
		Command: "test -e " + flag + " || { echo no flag; exit 4; }",
		Rise:    2, Fall: 2,
	}))
	w.want(false, "exit status 4: no flag")
	writeFile(t, flag, "")
	w.want(true, "exit status 0")
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	w.want(false, "exit status 4")
}

func TestScriptEndings(t *testing.T) {
	for _, tc := range []struct{ name, command, want string }{
		{"signal", "kill -9 $$", "killed by signal 9"},
		{"not found", "/nonexistent/check", "no such file"},
		{"not found by the shell", "/nonexistent/check; exit $?", "exit status 127"},
		{"too slow", "/bin/sleep 1000", "no result within 50ms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScript(t, config.Script{Command: tc.command, Interval: time.Hour, Timeout: 50 * time.Millisecond})
			if tc.name != "too slow" {
				s.cfg.Timeout = patience
			}
			watch(t, s).want(false, tc.want)
		})
	}
}

func TestScriptNeverRunsTwiceAtOnce(t *testing.T) {
	dir := t.TempDir()
	lock, count := filepath.Join(dir, "lock"), filepath.Join(dir, "count")
	// The lock is only seen by a second run while the first still goes on.
	w := watch(t, newScript(t, config.Script{
		Command:  "mkdir " + lock + " || exit 9; echo >> " + count + "; /bin/sleep 0.03; rmdir " + lock,
		Interval: time.Millisecond,
	}))
	w.want(true, "exit status 0")
	eventually.True(t, "ten runs", func() bool {
		b, err := os.ReadFile(count)
		return err == nil && len(b) >= 10
	})
	w.silent()
}

func TestNewScriptRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  config.Script
		want string
	}{
		{"open quote", config.Script{Name: "chk", Command: `echo "x`}, "quote is not closed"},
		{"nothing", config.Script{Name: "chk"}, "command is empty"},
		{"unknown user", config.Script{Name: "chk", Command: "true", User: "no-such-user"}, "no-such-user"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewScript(tc.cfg, newSpawner(t), slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestProcess(t *testing.T) {
	const name = "hfhealth-a-rather-long-name"
	w := watch(t, NewProcess(config.TrackProcess{Name: name}, slog.New(slog.DiscardHandler)))
	w.want(false, "does not run")
	a := startFake(t, name)
	w.want(true, "running, pid ")
	a.signal(syscall.SIGKILL)
	start := time.Now()
	w.want(false, "killed by signal 9")
	t.Logf("from kill -9 to the report: %v", time.Since(start))
}

func TestProcessIsUpWhileOneIsLeft(t *testing.T) {
	const name = "hfhealth-two"
	a, b := startFake(t, name), startFake(t, name)
	w := watch(t, NewProcess(config.TrackProcess{Name: name}, slog.New(slog.DiscardHandler)))
	w.want(true, "running")
	a.signal(syscall.SIGKILL)
	a.reap()
	before := time.Now()
	b.signal(syscall.SIGTERM)
	// Which of the two ends was seen last is the scheduler's choice.
	if u := w.want(false, "killed by signal"); u.At.Before(before) {
		t.Errorf("down %v before the last process was told to end", before.Sub(u.At))
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "number")
	f := NewFile(config.TrackFile{Path: path}, slog.New(slog.DiscardHandler))
	w := watch(t, f)
	w.want(false, "does not exist")
	replaceFile(t, path, " -12\n")
	if u := w.want(true, "-12"); u.Value != -12 {
		t.Errorf("value = %d", u.Value)
	}
	replaceFile(t, path, "12.5")
	w.want(false, "whole number")
	replaceFile(t, path, "7")
	w.want(true, "7")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.want(false, "does not exist")
}

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		want         error
	}{
		{"healthy", "Name: HAProxy\nVersion: 2.6.12\nStopping: 0\n", nil},
		{"old, without Stopping", "Name: HAProxy\n", nil},
		{"stopping", "Name: HAProxy\nStopping: 1\n", errStopping},
		{"permission denied", "Permission denied\n", errNotHAProxy},
		{"nothing", "", errNotHAProxy},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := judge([]byte(tc.answer)); !errors.Is(got, tc.want) {
				t.Errorf("judge = %v, want %v", got, tc.want)
			}
		})
	}
}
