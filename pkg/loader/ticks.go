// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// ticks reads the clock that flows are stamped with: the kernel's jiffies, of which
// the program stores the low 32 bits, since reading it costs next to nothing.
//
// Userspace has no other way to jiffies than to ask a BPF program: one of two
// instructions is run on demand. How long a jiffy lasts is what the kernel gives as
// the resolution of its coarse clocks, which tick with it.
type ticks struct {
	program *ebpf.Program
	length  time.Duration
}

func newTicks() (*ticks, error) {
	var res unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &res); err != nil {
		return nil, fmt.Errorf("length of a jiffy: %w", err)
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "jiffies",
		Type:         ebpf.XDP, // any type that can be run by test-run
		License:      "GPL",
		Instructions: asm.Instructions{asm.FnJiffies64.Call(), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("load the program that reads jiffies: %w", err)
	}
	return &ticks{program: program, length: time.Duration(res.Nano())}, nil
}

// now is the low half of jiffies: the verdict of an XDP program has 32 bits.
func (t *ticks) now() (uint32, error) {
	jiffies, err := t.program.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
	if err != nil {
		return 0, fmt.Errorf("read jiffies: %w", err)
	}
	return jiffies, nil
}

// since is the time from a stamp to now. A stamp that seems to lie ahead, by less
// than half of the clock's range, has been made a moment after now was read.
func (t *ticks) since(now, stamp uint32) time.Duration {
	return time.Duration(max(0, int32(now-stamp))) * t.length
}

// before is the stamp of a time ago.
func (t *ticks) before(now uint32, ago time.Duration) uint32 { return now - t.count(ago) }

// count is how many jiffies a time has, at most half of the clock's range.
func (t *ticks) count(d time.Duration) uint32 { return uint32(min(max(0, d/t.length), 1<<31-1)) }

func (t *ticks) close() { _ = t.program.Close() }
