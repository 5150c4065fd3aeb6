// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is what figures depend on.
type Machine struct {
	Kernel   string `json:"kernel"`
	System   string `json:"system"`
	CPU      string `json:"cpu"`
	CPUs     int    `json:"cpus"`
	MemoryMB uint64 `json:"memory_mb"`
	Go       string `json:"go"`
	// Load is the load average of the minute before.
	Load float64 `json:"load"`
	// Versions of the measured programs, as they say themselves.
	Versions []string `json:"versions"`
}

// ThisMachine collects the facts about the machine and the systems measured on it,
// which are asked for their versions.
func ThisMachine[S interface{ Version(context.Context) string }](ctx context.Context, systems []S) Machine {
	m := Machine{
		System: field("/etc/os-release", "PRETTY_NAME", "="),
		CPU:    field("/proc/cpuinfo", "model name", ":"),
		CPUs:   runtime.NumCPU(),
		Go:     runtime.Version(),
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		// The kernel scales loads by 2^16 (SI_LOAD_SHIFT).
		m.Load = float64(info.Loads[0]) / (1 << 16)
		m.MemoryMB = info.Totalram * uint64(info.Unit) >> 20
	}
	add := func(v string) {
		for _, have := range m.Versions {
			if have == v {
				return
			}
		}
		m.Versions = append(m.Versions, v)
	}
	for _, s := range systems {
		add(s.Version(ctx))
	}
	for _, argv := range [][]string{{"haproxy", "-v"}, {"nginx", "-v"}} {
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
		line, _, _ := strings.Cut(string(out), "\n")
		if err == nil {
			add(strings.TrimPrefix(line, "nginx version: "))
		}
	}
	return m
}

// Busy reports whether other work is going to show in the figures.
func (m Machine) Busy() bool { return m.Load > 0.25*float64(m.CPUs) }

// Announce says at the start of a measurement what it will run on, and warns of
// a machine that is busy.
func (m Machine) Announce(w io.Writer) {
	fmt.Fprintln(w, m)
	if m.Busy() {
		fmt.Fprintf(w, "warning: the machine is busy (load %.1f), and the figures will show it\n", m.Load)
	}
}

// String is one sentence about the machine.
func (m Machine) String() string {
	cpu := m.CPU
	if cpu == "" {
		cpu = "CPU of unknown model"
	}
	return fmt.Sprintf("%s, Linux %s, %d x %s, %.0f GiB; %s; %s",
		m.System, m.Kernel, m.CPUs, cpu, float64(m.MemoryMB)/1024, m.Go, strings.Join(m.Versions, ", "))
}

// field returns the value of the first line of the file that starts with the key.
func field(path, key, separator string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	pattern := regexp.MustCompile(`^` + regexp.QuoteMeta(key) + `\s*` + separator + `\s*"?([^"]*)"?$`)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if match := pattern.FindStringSubmatch(lines.Text()); match != nil {
			return match[1]
		}
	}
	return ""
}
