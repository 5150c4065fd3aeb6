// SPDX-License-Identifier: Apache-2.0

package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// killGrace is how long a child has between SIGTERM and SIGKILL.
	killGrace = time.Second
	// outputGrace is how long after a child's end its output is still read;
	// a background process that inherited the pipe may hold it open for ever.
	outputGrace = 100 * time.Millisecond
)

// Command is what to run.
type Command struct {
	// Line is the command line; see Split.
	Line string
	// Args are appended to it.
	Args []string
	// User runs it as that user; see CheckUser. Empty means the daemon's own.
	User string
	// DieWithParent has the kernel kill the child when the daemon dies.
	DieWithParent bool
}

// Result is how a child ended.
type Result struct {
	// Code is the exit status, -1 if Signal ended the child.
	Code int
	// Signal ended the child, 0 if it exited.
	Signal syscall.Signal
	// Output is the last line of its output, at most 200 bytes.
	Output string
	// Duration runs from the start to the end.
	Duration time.Duration
}

// OK reports whether the child exited with status 0.
func (r Result) OK() bool { return r.Code == 0 }

// Reason says how the child ended: "exit status 1", "killed by signal 9".
func (r Result) Reason() string {
	if r.Signal != 0 {
		return fmt.Sprintf("killed by signal %d", int(r.Signal))
	}
	return fmt.Sprintf("exit status %d", r.Code)
}

// Process is a running child.
type Process struct {
	cmd     *exec.Cmd
	output  tail
	started time.Time
	done    chan struct{}
	result  Result

	mu     sync.Mutex
	gone   bool // reaped: the pid may belong to another process by now
	killed bool // Stop was called: nothing of the group may be left
}

// Start runs c. The error wraps what exec(2) said, ErrClosed, or an error of
// Split or CheckUser.
func (s *Spawner) Start(c Command) (*Process, error) {
	argv, err := Split(c.Line, c.Args...)
	if err != nil {
		return nil, fmt.Errorf("command %q: %w", c.Line, err)
	}
	who, err := lookup(c.User)
	if err != nil {
		return nil, err
	}

	p := &Process{done: make(chan struct{}), started: time.Now()}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.WaitDelay = outputGrace
	p.cmd.Dir = "/"
	p.cmd.Env = append(os.Environ(), who.env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: who.credential}
	if c.DieWithParent {
		p.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	if err := s.start(p.cmd); err != nil {
		return nil, fmt.Errorf("start %q: %w", argv[0], err)
	}
	go p.wait()
	return p, nil
}

// wait reaps the child. It first waits without reaping, because a process
// group may be signalled safely only as long as its leader's pid is taken.
func (p *Process) wait() {
	defer close(p.done)
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.result.Duration = time.Since(p.started)

	p.mu.Lock()
	if p.killed {
		p.signalGroup(unix.SIGKILL)
	}
	p.gone = true
	p.mu.Unlock()

	// The error repeats what ProcessState says, or is exec.ErrWaitDelay, which
	// is about the output only.
	_ = p.cmd.Wait()
	p.result.Code, p.result.Output = -1, p.output.lastLine()
	if state := p.cmd.ProcessState; state != nil {
		p.result.Code = state.ExitCode()
		if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			p.result.Signal = ws.Signal()
		}
	}
}

// Done is closed when the child has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Result is valid once Done is closed.
func (p *Process) Result() Result {
	<-p.done
	return p.result
}

// Stop ends the child and all of its process group: SIGTERM, and SIGKILL after
// one second or as soon as the child itself has gone. It returns when the
// child was reaped.
func (p *Process) Stop() {
	p.signal(unix.SIGTERM)
	t := time.NewTimer(killGrace)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.signal(unix.SIGKILL)
		<-p.done
	}
}

func (p *Process) signal(sig unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
	if !p.gone {
		p.signalGroup(sig)
	}
}

// signalGroup needs p.mu. The error is of no use: a group without members is
// what is wanted.
func (p *Process) signalGroup(sig unix.Signal) {
	_ = unix.Kill(-p.cmd.Process.Pid, sig)
}

// ErrTimeout is returned by Run for a child that took too long.
var ErrTimeout = errors.New("timed out")

// Run starts c and waits for its end. A child that takes longer than timeout,
// or is still running when ctx ends, is stopped; the error is then ErrTimeout
// or ctx's.
func (s *Spawner) Run(ctx context.Context, c Command, timeout time.Duration) (Result, error) {
	p, err := s.Start(c)
	if err != nil {
		return Result{}, err
	}
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-p.Done():
		return p.Result(), nil
	case <-t.C:
		p.Stop()
		return p.Result(), fmt.Errorf("%w after %v", ErrTimeout, timeout)
	case <-ctx.Done():
		p.Stop()
		return p.Result(), ctx.Err()
	}
}
