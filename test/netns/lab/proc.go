// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Proc is a long-running process inside a host.
type Proc struct {
	// Name names the process in errors and its log file.
	Name string
	// LogPath is the file with what it wrote to stdout and stderr.
	LogPath string

	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts a program inside the host, in a process group of its own. What it
// writes goes to NAME.log in the host's directory; a log of the same name is
// continued. The process is killed when the lab closes, if not before.
func (h *Host) Start(name string, argv ...string) (*Proc, error) {
	if _, err := exec.LookPath(argv[0]); err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", name, h.Name, err)
	}
	logPath := h.Path(name + ".log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := h.Command(context.Background(), argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", name, h.Name, err)
	}
	p := &Proc{Name: name, LogPath: logPath, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.procs = append(slices.DeleteFunc(h.procs, (*Proc).Exited), p)
	return p, nil
}

// PID returns the process id. It stays the program's own: nsenter replaces itself.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and been waited for.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Exited reports whether the process has ended.
func (p *Proc) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Err returns how the process ended, as exec.Cmd.Wait does. Call it after Done.
func (p *Proc) Err() error {
	<-p.done
	return p.err
}

// Signal sends a signal to the process alone.
func (p *Proc) Signal(sig unix.Signal) error { return p.cmd.Process.Signal(sig) }

// Kill sends SIGKILL to the process group and waits until the process is
// gone. It does nothing when that is so already.
func (p *Proc) Kill() {
	if p.Exited() {
		return
	}
	_ = unix.Kill(-p.PID(), unix.SIGKILL)
	<-p.done
}

// Stop sends SIGTERM and waits for the end.
func (p *Proc) Stop(ctx context.Context) error {
	if p.Exited() {
		return nil
	}
	if err := p.Signal(unix.SIGTERM); err != nil && !p.Exited() {
		return fmt.Errorf("stop %s: %w", p.Name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", p.Name, context.Cause(ctx))
	}
}

// Log returns what the process has written so far, and what earlier ones of the
// same name wrote before it.
func (p *Proc) Log() string {
	b, err := os.ReadFile(p.LogPath)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// LastLines returns the last n lines of Log.
func (p *Proc) LastLines(n int) string {
	lines := strings.Split(strings.TrimRight(p.Log(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// SignalGroup sends a signal to the process and all it has started: a daemon of
// several processes stands still only when all of them do.
func (p *Proc) SignalGroup(sig unix.Signal) error { return unix.Kill(-p.PID(), sig) }

// CPU returns the processor time that the process's group has used so far, as far
// as its processes still run. It comes in steps of 10 ms.
func (p *Proc) CPU() (time.Duration, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			// It ended after it was listed.
			continue
		}
		group, used, err := parseProcStat(string(b))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		if group == p.PID() {
			sum += used
		}
	}
	return sum, nil
}

// parseProcStat reads the process group and utime+stime from a line of
// /proc/PID/stat (proc_pid_stat(5)).
func parseProcStat(line string) (group int, used time.Duration, err error) {
	// USER_HZ is 100 on every architecture Go runs on.
	const tick = 10 * time.Millisecond
	// The name may hold spaces and brackets; after the last bracket the fields
	// count from the third, the state.
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	const pgrp, utime, stime = 5 - 3, 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0, 0, fmt.Errorf("too few fields in %q", line)
	}
	var n [3]int
	for i, field := range []int{pgrp, utime, stime} {
		if n[i], err = strconv.Atoi(fields[field]); err != nil {
			return 0, 0, err
		}
	}
	return n[0], time.Duration(n[1]+n[2]) * tick, nil
}
