// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hafast/internal/control"
	"hafast/internal/flock"
)

func TestListenCreatesDirectoryAndRestrictsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "hafast", "hafast.sock")
	ln, err := control.Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if dir.Mode().Perm() != 0o755 {
		t.Errorf("directory has mode %o, want 755", dir.Mode().Perm())
	}
	sock, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if sock.Mode().Perm() != 0o660 {
		t.Errorf("socket has mode %o, want 660", sock.Mode().Perm())
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 0 {
		t.Errorf("after Close the directory holds %v (%v), want nothing", left, err)
	}
}

// staleSocket makes what a daemon killed with SIGKILL leaves behind.
func staleSocket(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
}

func TestListenReplacesStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	staleSocket(t, path)
	ln, err := control.Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the new socket does not answer: %v", err)
	}
	_ = conn.Close()
}

func TestListenRefuses(t *testing.T) {
	tests := []struct {
		name  string
		path  func(t *testing.T, dir string) string
		is    error
		words string
	}{
		{
			name: "living daemon",
			path: func(t *testing.T, dir string) string {
				ln, err := control.Listen(filepath.Join(dir, "s"), nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = ln.Close() })
				return filepath.Join(dir, "s")
			},
			is: control.ErrInUse, words: "another hafast is running; stop it first",
		},
		{
			name: "daemon being started",
			path: func(t *testing.T, dir string) string {
				f, err := os.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = f.Close() })
				if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
					t.Fatal(err)
				}
				return filepath.Join(dir, "s")
			},
			is: control.ErrInUse, words: "it has been starting for 2s",
		},
		{
			name: "a file in its place",
			path: func(t *testing.T, dir string) string {
				if err := os.WriteFile(filepath.Join(dir, "s"), []byte("precious"), 0o600); err != nil {
					t.Fatal(err)
				}
				return filepath.Join(dir, "s")
			},
			words: "no socket is in its place; remove it",
		},
		{
			name: "a file where the directory should be",
			path: func(t *testing.T, dir string) string {
				if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				return filepath.Join(dir, "f", "s")
			},
			is: unix.ENOTDIR, words: "create directory of control socket",
		},
		{
			name: "path too long",
			path: func(_ *testing.T, dir string) string {
				return filepath.Join(dir, strings.Repeat("x", 108))
			},
			words: "may have 107; choose a shorter control.socket",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.path(t, t.TempDir())
			ln, err := control.Listen(path, nil)
			if err == nil {
				_ = ln.Close()
				t.Fatal("Listen succeeded")
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v is not %v", err, tt.is)
			}
			if !strings.Contains(err.Error(), tt.words) {
				t.Errorf("error %q lacks %q", err, tt.words)
			}
		})
	}
}

// Daemons with sockets in one directory may be started at once.
func TestListenWaitsForAnother(t *testing.T) {
	dir := t.TempDir()
	another, err := flock.Dir(dir, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	waits := 0
	ln, err := control.Listen(filepath.Join(dir, "s"), func() { waits++; _ = another.Close() })
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if waits != 1 {
		t.Errorf("said so %d times", waits)
	}
}

func TestListenLeavesForeignFileAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(path, nil); err == nil {
		t.Fatal("Listen succeeded")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "precious" {
		t.Errorf("the file holds %q (%v)", got, err)
	}
}

func TestListenRefusedKeepsSocketOfLivingDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := control.Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := control.Listen(path, nil); !errors.Is(err, control.ErrInUse) {
		t.Fatalf("got %v, want ErrInUse", err)
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the refused daemon removed the living one's socket")
	}
}
