// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

func TestOwnerOf(t *testing.T) {
	tests := []struct {
		name string
		pid  int
		ok   bool
	}{
		{"hflab-4711-123-haa", 4711, true},
		{"hflab-4711-123", 4711, true},
		{"hflab-4711", 0, false},
		{"hflab-x-1", 0, false},
		{"hflab--1-2", 0, false},
		{"other-4711-1", 0, false},
		{"", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pid, ok := ownerOf(tt.name)
			if ok != tt.ok || ok && pid != tt.pid {
				t.Errorf("got %d, %v; want %d, %v", pid, ok, tt.pid, tt.ok)
			}
		})
	}
}

func TestReapRemovesOnlyTheDead(t *testing.T) {
	SkipUnlessRoot(t)
	dead := namePrefix + strconv.Itoa(goneProcess(t)) + "-1-x"
	living := namePrefix + strconv.Itoa(os.Getpid()) + "-1-x"
	for _, name := range []string{dead, living} {
		ns, err := newNamespace(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ns.file.Close() })
	}
	t.Cleanup(func() {
		if err := deleteNamespace(living); err != nil {
			t.Error(err)
		}
	})
	stray := exec.Command("nsenter", "--net="+filepath.Join(netnsDir, dead), "sleep", "1000")
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	awaitInside(t, stray.Process.Pid, dead)
	if err := Reap(); err != nil {
		t.Fatal(err)
	}
	if err := stray.Wait(); err == nil {
		t.Error("the stray process ended by itself")
	}
	if _, err := os.Stat(filepath.Join(netnsDir, dead)); err == nil {
		t.Error("the stale namespace is still there")
	}
	if _, err := os.Stat(filepath.Join(netnsDir, living)); err != nil {
		t.Error("the namespace of a living process is gone")
	}
}

// awaitInside waits until a process has entered a namespace.
func awaitInside(t *testing.T, pid int, name string) {
	t.Helper()
	want, err := os.Stat(filepath.Join(netnsDir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := Eventually(t.Context(), "the process to enter", func() bool {
		have, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "ns/net"))
		return err == nil && os.SameFile(want, have)
	}); err != nil {
		t.Fatal(err)
	}
}
