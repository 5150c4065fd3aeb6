// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// RefusedError says why the kernel does not take the program or its maps.
type RefusedError struct {
	// Why is the reason in one line, Remedy what can be done about it.
	Why, Remedy string
	// Log is all that the verifier said; empty if it was not the verifier.
	Log string
	Err error
}

func (e *RefusedError) Error() string { return "the kernel refuses the XDP program: " + e.Why }

// Unwrap returns the kernel's own error.
func (e *RefusedError) Unwrap() error { return e.Err }

// Remedy is what an administrator can do about an error of this package.
func Remedy(err error) string {
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		return refused.Remedy
	case errors.Is(err, ErrBusy):
		return "stop the other hafast, or give each its own bpf_dir"
	case errors.Is(err, ErrOccupied):
		return "take the other program off the interface, or set xdp: off"
	}
	return "hafast check says what this host lacks; set xdp: off if it is to be so"
}

// confinement is what may keep a process from bpf(2), whatever the kernel can.
type confinement struct {
	capable  bool   // CAP_BPF or CAP_SYS_ADMIN is in force
	userns   bool   // root of a user namespace, and nobody on the host
	seccomp  bool   // a filter decides on system calls
	lockdown string // empty or none: the kernel is not locked down
}

// readConfinement takes what it cannot read for absent: it explains a refusal, and
// decides nothing.
func readConfinement() confinement {
	c := confinement{capable: true}
	status, _ := os.ReadFile("/proc/thread-self/status")
	for line := range bytes.Lines(status) {
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Seccomp":
			c.seccomp = value == "2" // SECCOMP_MODE_FILTER
		case "CapEff":
			var set uint64
			if _, err := fmt.Sscanf(value, "%x", &set); err == nil {
				c.capable = set&(1<<unix.CAP_BPF|1<<unix.CAP_SYS_ADMIN) != 0
			}
		}
	}
	if users, err := os.ReadFile("/proc/thread-self/uid_map"); err == nil {
		// All ids stand for themselves in the host's own namespace (user_namespaces(7)).
		c.userns = !slices.Equal(strings.Fields(string(users)), []string{"0", "0", "4294967295"})
	}
	if modes, err := os.ReadFile("/sys/kernel/security/lockdown"); err == nil {
		c.lockdown = lockdownMode(string(modes))
	}
	return c
}

// lockdownMode finds the mode in force in "none [integrity] confidentiality".
func lockdownMode(modes string) string {
	_, rest, _ := strings.Cut(modes, "[")
	mode, _, _ := strings.Cut(rest, "]")
	return mode
}

// refused wraps an error of the kernel's with its reason.
func refused(err error) error { return explain(err, readConfinement()) }

// orOff is the remedy that is left to everybody.
const orOff = ", or set xdp: off"

// errnoNotSupported is ENOTSUPP, which is the kernel's own and not in errno(3).
const errnoNotSupported = unix.Errno(524)

func explain(err error, c confinement) *RefusedError {
	e := &RefusedError{Err: err}
	var verifier *ebpf.VerifierError
	switch {
	case errors.Is(err, unix.ENOSYS):
		e.Why = "it has no bpf system call, or a filter hides it"
		e.Remedy = "use a kernel with CONFIG_BPF_SYSCALL, allow bpf(2) in the seccomp profile of the container" + orOff
	case errors.Is(err, unix.EPERM):
		e.Why, e.Remedy = c.forbids()
	case errors.Is(err, errnoNotSupported):
		e.Why = "its BPF compiler is off, or has no memory left"
		e.Remedy = "sysctl -w net.core.bpf_jit_enable=1, raise net.core.bpf_jit_limit" + orOff
	case errors.As(err, &verifier) && lastWords(verifier.Log) != "":
		e.Log = strings.Join(verifier.Log, "\n")
		e.Why = "the verifier says: " + lastWords(verifier.Log)
		e.Remedy = "hafast check --verbose shows all it says; report that with the kernel's release and " +
			fmt.Sprintf("use another kernel (hafast is tested from Linux %d.%d on)", FloorMajor, FloorMinor) + orOff
	case errors.Is(err, unix.ENOMEM):
		e.Why = "there is no memory for its tables"
		e.Remedy = "set flows: to fewer, or raise the memory limit of the service or container"
	default:
		e.Why = err.Error()
		e.Remedy = fmt.Sprintf("use Linux %d.%d or later with BPF and XDP built in", FloorMajor, FloorMinor) + orOff
	}
	return e
}

// explainMemlock is for a limit of locked memory that cannot be raised. Whether the kernel
// needs that (before Linux 5.11) is found out by bpf(2), so that one who may not call it
// meets this first.
func explainMemlock(err error, c confinement) *RefusedError {
	e := &RefusedError{
		Why:    fmt.Sprintf("the limit of locked memory cannot be raised, as Linux before 5.11 needs for BPF: %v", err),
		Remedy: "set LimitMEMLOCK=infinity for the service, or give it CAP_SYS_RESOURCE" + orOff, Err: err,
	}
	if !c.capable || c.userns || c.seccomp {
		e.Why, e.Remedy = c.forbids()
	}
	return e
}

// forbids says what the most likely reason for EPERM is, the most certain one first.
func (c confinement) forbids() (why, remedy string) {
	switch {
	case !c.capable:
		return "CAP_BPF and CAP_SYS_ADMIN are missing", "run as root, or give the service these capabilities" + orOff
	case c.userns:
		return "root of a user namespace may not use BPF", "run hafast outside of the container, or in a privileged one" + orOff
	case c.seccomp:
		return "a seccomp filter of the container or service forbids bpf(2)",
			"allow bpf(2) in the container's seccomp profile, or in SystemCallFilter= of the service" + orOff
	case c.lockdown != "" && c.lockdown != "none":
		return fmt.Sprintf("the kernel is locked down (%s)", c.lockdown),
			"boot without lockdown, which Secure Boot may have switched on" + orOff
	}
	return "it is not permitted, though the capabilities are there: a security module, or the limit of locked memory (Linux before 5.11)",
		"look at the kernel's log for the module (dmesg), set LimitMEMLOCK=infinity for the service" + orOff
}

// lastWords is the line of a verifier's log that says what is wrong: the last one
// but for the statistics.
func lastWords(log []string) string {
	for _, line := range slices.Backward(log) {
		line = strings.TrimSpace(line)
		statistics := false
		for _, prefix := range []string{"processed ", "stack depth ", "verification time ", "-- END", "mark_precise"} {
			statistics = statistics || strings.HasPrefix(line, prefix)
		}
		if line != "" && !statistics {
			return line
		}
	}
	return ""
}
