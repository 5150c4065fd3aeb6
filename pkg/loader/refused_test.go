// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

func TestExplain(t *testing.T) {
	free := confinement{capable: true, lockdown: "none"}
	verifier := &ebpf.VerifierError{Cause: unix.EACCES, Log: []string{
		"0: (79) r1 = *(u64 *)(r1 +0)", "R0 unbounded memory access, make sure to bounds check any such access",
		"processed 811 insns (limit 1000000) max_states_per_insn 4 total_states 40", "",
	}}
	for _, test := range []struct {
		name        string
		err         error
		at          confinement
		why, remedy string
	}{
		{"no bpf(2)", unix.ENOSYS, free, "it has no bpf system call", "CONFIG_BPF_SYSCALL"},
		{"not root", unix.EPERM, confinement{seccomp: true, lockdown: "integrity"}, "CAP_BPF and CAP_SYS_ADMIN are missing", "run as root"},
		{"container with a user namespace", unix.EPERM, confinement{capable: true, userns: true, seccomp: true}, "root of a user namespace", "privileged"},
		{"seccomp", unix.EPERM, confinement{capable: true, seccomp: true, lockdown: "none"}, "a seccomp filter", "SystemCallFilter="},
		{"lockdown", unix.EPERM, confinement{capable: true, lockdown: "confidentiality"}, "locked down (confidentiality)", "Secure Boot"},
		{"nothing to be seen", unix.EPERM, free, "a security module", "LimitMEMLOCK=infinity"},
		{"no JIT", errnoNotSupported, free, "its BPF compiler is off", "net.core.bpf_jit_enable=1"},
		{"verifier", verifier, free, "the verifier says: R0 unbounded memory access, make sure to bounds check any such access", "--verbose"},
		{"memory", unix.ENOMEM, free, "no memory for its tables", "flows:"},
		{"else", errors.New("map events: unknown map type"), free, "map events: unknown map type", "Linux 5.10 or later"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := explain(fmt.Errorf("load: %w", test.err), test.at)
			if !strings.Contains(e.Why, test.why) || strings.Contains(e.Why, "\n") {
				t.Errorf("why %q, want %q in one line", e.Why, test.why)
			}
			if !strings.Contains(e.Remedy, test.remedy) || Remedy(fmt.Errorf("open: %w", e)) != e.Remedy {
				t.Errorf("remedy %q, want %q", e.Remedy, test.remedy)
			}
			if !errors.Is(e, test.err) {
				t.Errorf("%v hides %v", e, test.err)
			}
			if all := strings.Join(verifier.Log, "\n"); errors.Is(test.err, verifier) && e.Log != all {
				t.Errorf("log %q, want %q", e.Log, all)
			}
		})
	}
}

// Those whose programs are often met are named, with what takes them off.
func TestOccupiedNamesOwner(t *testing.T) {
	for program, want := range map[string]string{
		"xdp_dispatcher": `eth0 already runs XDP program 7 ("xdp_dispatcher", native) of libxdp (xdp-tools): xdp-loader unload eth0 --all, or remove it`,
		"cil_xdp_entry":  `of Cilium: take eth0 out of its devices`,
		"":               `eth0 already runs XDP program 7 ("", native): stop what has put it there, or remove it with 'ip link set dev eth0 xdp off'`,
	} {
		err := &OccupiedError{Interface: "eth0", ProgramID: 7, Program: program, Mode: ModeNative}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", program, err, want)
		}
	}
}

func TestLockdownMode(t *testing.T) {
	for modes, want := range map[string]string{
		"none [integrity] confidentiality\n": "integrity", "[none] integrity confidentiality\n": "none", "": "",
	} {
		if got := lockdownMode(modes); got != want {
			t.Errorf("%q: %q, want %q", modes, got, want)
		}
	}
}

// Tables of hosts with many processors have room beside what these hold back as free.
func TestCapacity(t *testing.T) {
	for _, test := range []struct{ flows, cpus, tcp, udp int }{
		{DefaultFlows, 2, 262144, 65536},
		{MinFlows, 2, 4096, 1024},
		{MinFlows, 4, 4096, 2048},
		{MinFlows, 64, 32768, 32768},
		{DefaultFlows, 256, 262144, 131072},
	} {
		o := Options{Flows: test.flows, cpus: test.cpus}
		if tcp, udp := o.capacity(bpfMapTcp4), o.capacity(bpfMapUdp6); int(tcp) != test.tcp || int(udp) != test.udp {
			t.Errorf("%d flows, %d processors: %d and %d, want %d and %d", test.flows, test.cpus, tcp, udp, test.tcp, test.udp)
		}
	}
}

func TestExplainMemlock(t *testing.T) {
	for why, at := range map[string]confinement{
		"the limit of locked memory cannot be raised": {capable: true},
		"CAP_BPF and CAP_SYS_ADMIN are missing":       {},
		"root of a user namespace":                    {capable: true, userns: true},
		"a seccomp filter":                            {capable: true, seccomp: true},
	} {
		if e := explainMemlock(unix.EPERM, at); !strings.Contains(e.Why, why) || e.Remedy == "" || !errors.Is(e, unix.EPERM) {
			t.Errorf("%+v: %q; %q, want %q", at, e.Why, e.Remedy, why)
		}
	}
}

// What the kernel would refuse is not loaded.
func TestLoadSpecLeavesOut(t *testing.T) {
	for _, test := range []struct {
		kernel    kernel
		replicate bool
	}{
		{kernel{frames: true, loop: true, jit: true}, true},
		{kernel{frames: true, loop: true}, false},
		{kernel{frames: true, jit: true}, false},
	} {
		spec, err := test.kernel.loadSpec()
		if err != nil {
			t.Fatal(err)
		}
		if got := spec.Programs[bpfProgReplicate] != nil; got != test.replicate {
			t.Errorf("%+v: the program that replicates is there: %t", test.kernel, got)
		}
	}
}

func TestLacks(t *testing.T) {
	for _, test := range []struct {
		kernel kernel
		want   []Lack
	}{
		{kernel{frames: true, loop: true, jit: true}, nil},
		{kernel{jit: true}, []Lack{lackFrames, lackLoop}},
		{kernel{frames: true}, []Lack{lackJIT}},
	} {
		got := test.kernel.lacks()
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%+v lacks %v, want %v", test.kernel, got, test.want)
		}
		for _, l := range got {
			if l.Remedy == "" || strings.Contains(l.String(), "()") {
				t.Errorf("%s; %s", l, l.Remedy)
			}
		}
	}
}
