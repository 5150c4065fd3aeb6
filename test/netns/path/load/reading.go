// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// counter counts while others read it.
type counter struct{ ok, failed atomic.Uint64 }

// Machine is the processor time of the whole machine, over all its processors. It
// comes in steps of 10 ms and is sampled at the kernel's clock tick.
type Machine struct {
	// Busy is all that is neither Idle nor Steal: programs, the kernel, interrupts.
	Busy, Idle, Steal time.Duration
}

// ReadMachine reads what has been used since the machine started.
func ReadMachine() (Machine, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Machine{}, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return parseMachine(line)
}

// parseMachine reads the first line of /proc/stat (proc_stat(5)): user, nice,
// system, idle, iowait, irq, softirq, steal. What follows is in user and nice already.
func parseMachine(line string) (Machine, error) {
	// USER_HZ is 100 on every architecture Go runs on.
	const tick = 10 * time.Millisecond
	const idle, iowait, steal = 3, 4, 7
	var m Machine
	fields := strings.Fields(line)
	if len(fields) < 2+steal || fields[0] != "cpu" {
		return m, fmt.Errorf("/proc/stat: unexpected line %q", line)
	}
	for i, text := range fields[1 : 2+steal] {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return m, fmt.Errorf("/proc/stat: %w", err)
		}
		switch d := time.Duration(n) * tick; i {
		case idle, iowait:
			m.Idle += d
		case steal:
			m.Steal += d
		default:
			m.Busy += d
		}
	}
	return m, nil
}

// Since returns what was used after an earlier reading.
func (m Machine) Since(before Machine) Machine {
	return Machine{m.Busy - before.Busy, m.Idle - before.Idle, m.Steal - before.Steal}
}

// reading is everything at one moment.
type reading struct {
	at         time.Time
	ok, failed uint64
	own        time.Duration
	machine    Machine
}

func takeReading(c *counter) (reading, error) {
	r := reading{at: time.Now(), ok: c.ok.Load(), failed: c.failed.Load()}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return r, err
	}
	r.own = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	var err error
	r.machine, err = ReadMachine()
	return r, err
}

func (r reading) since(before reading) Result {
	return Result{
		Count: r.ok - before.ok, Failed: r.failed - before.failed, Elapsed: r.at.Sub(before.at),
		ClientCPU: r.own - before.own, Machine: r.machine.Since(before.machine),
	}
}
