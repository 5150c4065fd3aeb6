// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSystemLinks(t *testing.T) {
	links, err := System().Links()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(links, func(l Link) bool { return l.Name == "lo" && l.MTU > 0 }) {
		t.Errorf("no lo among %+v", links)
	}
}

func TestSystemAnswers(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	if err := System().Answers(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent socket: %v", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := System().Answers(socket); err != nil {
		t.Errorf("listening socket: %v", err)
	}
}

func TestSystemCanListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := System().CanListen(address); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("port in use: %v", err)
	}
	l.Close()
	if err := System().CanListen(address); err != nil {
		t.Errorf("free port: %v", err)
	}
}

func TestSystemExecutable(t *testing.T) {
	plainFile := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plainFile, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		line string
		want error
	}{
		{"sh -c true", nil},
		{"/bin/sh", nil},
		{`"/bin/sh" -c 'a b'`, nil},
		{"/no/such/program -x", fs.ErrNotExist},
		{plainFile, fs.ErrPermission},
	} {
		if err := System().Executable(test.line); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.line, err, test.want)
		}
	}
	if err := System().Executable(`/bin/sh "open`); err == nil {
		t.Error("an open quote is fine")
	}
}

func TestSystemUser(t *testing.T) {
	if err := System().User("root"); err != nil {
		t.Errorf("root: %v", err)
	}
	if err := System().User("no-such-user"); err == nil {
		t.Error("no-such-user exists")
	}
}

func TestSystemWritable(t *testing.T) {
	dir := t.TempDir()
	if err := System().Writable(filepath.Join(dir, "a", "b")); err != nil {
		t.Errorf("directory to be made: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := System().Writable(file); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("file in the way: %v", err)
	}
}

func TestSystemProcesses(t *testing.T) {
	processes, err := System().Processes()
	if err != nil {
		t.Fatal(err)
	}
	if processes[os.Getpid()] == "" {
		t.Error("this process is missing")
	}
}

func TestSystemKernel(t *testing.T) {
	release, err := System().Release()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := parseRelease(release); !ok {
		t.Errorf("release %q cannot be parsed", release)
	}
	if _, err := System().Sysctl("net/ipv4/conf/all/arp_ignore"); err != nil {
		t.Error(err)
	}
	if _, err := System().Capable(unix.CAP_NET_ADMIN); err != nil {
		t.Error(err)
	}
}
