// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
)

// TestTry: every kernel from the floor on takes the program, and the trial was elsewhere.
func TestTry(t *testing.T) {
	// Network namespaces do not have it.
	setting, _ := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	nstest.Enter(t)
	lacks, err := Try()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("this kernel lacks %v", lacks)
	if slices.Contains(lacks, lackJIT) && strings.HasPrefix(string(setting), "1") {
		t.Error("the compiler is at work and was not seen")
	}
	if id := programOn(t, "lo"); id != 0 {
		t.Errorf("lo runs XDP program %d", id)
	}
}

// TestTryForbidden: who may not use bpf(2) gets to know why.
func TestTryForbidden(t *testing.T) {
	for _, test := range []struct {
		name   string
		forbid func(t *testing.T)
		is     error
		why    string
	}{
		{"no capabilities", dropCapabilities, unix.EPERM, "CAP_BPF and CAP_SYS_ADMIN are missing"},
		{"a filter that forbids", func(t *testing.T) { filterBPF(t, unix.EPERM) }, unix.EPERM, "a seccomp filter"},
		{"a filter that hides", func(t *testing.T) { filterBPF(t, unix.ENOSYS) }, unix.ENOSYS, "it has no bpf system call, or a filter hides it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			nstest.Enter(t) // its thread ends with the test
			test.forbid(t)
			_, err := Try()
			var refusal *RefusedError
			if !errors.As(err, &refusal) || !errors.Is(err, test.is) {
				t.Fatalf("got %v, want a refusal by %v", err, test.is)
			}
			if !strings.Contains(refusal.Why, test.why) {
				t.Errorf("why %q, want %q", refusal.Why, test.why)
			}
		})
	}
}

// dropCapabilities takes them from this thread, and with them what root may.
func dropCapabilities(t *testing.T) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatalf("capset: %v", err)
	}
}

// filterBPF has bpf(2) fail on this thread, as container runtimes do.
func filterBPF(t *testing.T, errno unix.Errno) {
	t.Helper()
	const nrOffset = 0 // of seccomp_data
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: nrOffset},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_BPF, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		t.Fatalf("seccomp: %v", err)
	}
}
