// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"hafast/internal/config"
)

// maxComm is how much the kernel keeps of a command name (TASK_COMM_LEN - 1).
const maxComm = 15

// Process checks that at least one process of a name runs. Its check is named
// "process NAME".
//
// While there is one, pidfds on all of them tell when the last ends. While
// there is none, /proc is read once a second. (The kernel's process connector
// would tell of new ones at once, but answers in the first network namespace
// only.)
type Process struct {
	cfg config.TrackProcess
	log *slog.Logger
}

// NewProcess takes Name from cfg: the command name as in /proc/PID/comm, of
// which the first 15 bytes count.
func NewProcess(cfg config.TrackProcess, log *slog.Logger) *Process {
	return &Process{cfg: cfg, log: log}
}

// Name implements Checker.
func (c *Process) Name() string { return ProcessName(c.cfg.Name) }

// Run implements Checker.
func (c *Process) Run(ctx context.Context, report func(Update)) error {
	procs := newProcWatch()
	defer procs.close()
	ticker := time.NewTicker(slowTick)
	defer ticker.Stop()

	comm := c.cfg.Name[:min(len(c.cfg.Name), maxComm)]
	held := make(map[*proc]struct{})
	known, up := false, false
	cause := "does not run"
	for at := time.Now(); ; {
		if len(held) == 0 {
			if err := c.find(procs, held, comm); err != nil {
				return err
			}
		}
		if now := len(held) > 0; !known || now != up {
			known, up = true, now
			u := Update{Check: c.Name(), Up: up, Detail: cause, At: at}
			if up {
				u.Detail = "running, pid " + anyPid(held)
			}
			report(u)
		}
		select {
		case <-ctx.Done():
			return nil
		case e := <-procs.ends:
			procs.release(e.p)
			delete(held, e.p)
			// Ends may be told in another order than they came.
			if e.at.After(at) {
				at, cause = e.at, fmt.Sprintf("%v, pid %d", e.exit, e.p.pid)
			}
		case at = <-ticker.C:
			c.dropRenamed(procs, held, comm)
		}
	}
}

// find takes hold of all processes of the name.
func (c *Process) find(procs *procWatch, held map[*proc]struct{}, comm string) error {
	pids, err := listPids()
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, pid := range pids {
		if name, err := readComm(pid); err != nil || name != comm {
			continue
		}
		p, err := procs.open(pid)
		if err != nil {
			continue // ended in the meantime, or out of descriptors
		}
		held[p] = struct{}{}
	}
	c.dropRenamed(procs, held, comm)
	return nil
}

// dropRenamed lets go of processes that executed something else. A name that
// cannot be read belongs to a process whose end will be told.
func (c *Process) dropRenamed(procs *procWatch, held map[*proc]struct{}, comm string) {
	for p := range held {
		if name, err := readComm(p.pid); err == nil && name != comm {
			procs.release(p)
			delete(held, p)
		}
	}
}

// anyPid is the lowest.
func anyPid(held map[*proc]struct{}) string {
	lowest := 0
	for p := range held {
		if lowest == 0 || p.pid < lowest {
			lowest = p.pid
		}
	}
	return fmt.Sprint(lowest)
}
