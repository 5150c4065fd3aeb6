// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
)

func TestMountedBPFFS(t *testing.T) {
	const mounts = "25 1 0:23 / /proc rw shared:5 - proc proc rw\n" +
		"31 24 0:27 / /sys/fs/bpf rw,nosuid shared:9 master:2 - bpf bpf rw,mode=700\n"
	for device, want := range map[string]bool{"0:27": true, "0:23": false, "0:2": false, "": false} {
		if got := mountedBPFFS(mounts, device); got != want {
			t.Errorf("%q: %t", device, got)
		}
	}
}

// TestPrivateBPFFS has a process stand in for the host's first one, of which not every
// machine lets a test know.
func TestPrivateBPFFS(t *testing.T) {
	nstest.Enter(t)
	privateMounts(t)
	dir, pins := t.TempDir(), "hafast/links"
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	// A child has the namespace of the thread that starts it.
	host := exec.CommandContext(t.Context(), "cat")
	stdin, err := host.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = host.Wait() })
	check := func(when, dir string, want bool) {
		t.Helper()
		if got, err := privateTo(fmt.Sprintf("/proc/%d", host.Process.Pid), dir); got != want || err != nil {
			t.Errorf("%s: %t, %v; want %t", when, got, err, want)
		}
	}
	check("in the host's namespace", filepath.Join(dir, pins), false)
	check("in the host's namespace, and nothing mounted", t.TempDir(), false)
	privateMounts(t)
	check("the host's filesystem in another namespace", filepath.Join(dir, pins), false)
	check("nothing mounted yet", t.TempDir(), true)
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	check("mounted in this namespace alone", filepath.Join(dir, pins), true)
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Error(err)
	}
	if _, err := privateTo("/proc/none", dir); err == nil {
		t.Error("a process that is not there has mounts")
	}
}
