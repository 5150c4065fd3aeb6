// SPDX-License-Identifier: Apache-2.0

package health

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// notHAProxyError is returned for a process of another name.
type notHAProxyError struct{ comm string }

func (e notHAProxyError) Error() string { return "not haproxy but " + e.comm }

// haproxyProc is one haproxy process out of the pidfile; in master-worker mode
// the master.
type haproxyProc struct {
	p *proc
	// master tells that this process serves nothing itself.
	master bool
	// workers are the master's living children, with those of older generations
	// that still drain.
	workers map[*proc]struct{}
	// lost is the pid of the last worker, once it has ended; 0 before.
	lost     int
	lostExit exit
}

// openHAProxy takes hold of a living haproxy. It returns errNoProcess if there
// is none and notHAProxyError if the pid belongs to something else.
func openHAProxy(w *procWatch, pid int) (*haproxyProc, error) {
	p, err := w.open(pid)
	if err != nil {
		return nil, err
	}
	comm, err := readComm(pid)
	if err != nil || !p.alive() { // in this order: alive now, so the name was its own
		w.release(p)
		return nil, errNoProcess
	}
	if !strings.HasPrefix(comm, "haproxy") {
		w.release(p)
		return nil, notHAProxyError{comm}
	}
	return &haproxyProc{p: p, workers: make(map[*proc]struct{})}, nil
}

func (h *haproxyProc) release(w *procWatch) {
	for c := range h.workers {
		w.release(c)
	}
	w.release(h.p)
}

// refresh brings workers up to date and reports whether the process serves: any
// process but a master does, and a master does while it has a worker, before
// its first one was seen, and while it replaces the last one by -sf (it tells
// the old worker to finish before it forks the new one).
func (h *haproxyProc) refresh(w *procWatch) bool {
	h.master = h.master || isMaster(h.p.pid)
	w.watchThreads(h.p)
	if !h.master {
		return true
	}
	for c := range h.workers {
		w.watchThreads(c)
		// What had haproxy's name between fork and exec was no worker.
		if comm, err := readComm(c.pid); err == nil && !strings.HasPrefix(comm, "haproxy") {
			delete(h.workers, c)
			w.release(c)
		}
	}
	if h.adopt(w) {
		return true
	}
	if h.lost == 0 || replaces(readArgs(h.p.pid), map[int]bool{h.lost: true}) {
		return true
	}
	// Between the two looks the master may have forked and have executed
	// itself again, without -sf.
	return h.adopt(w)
}

// adopt takes hold of new workers and reports whether there is any.
func (h *haproxyProc) adopt(w *procWatch) bool {
	for _, pid := range readChildren(h.p.pid) {
		if h.hasWorker(pid) {
			continue
		}
		if c, err := openHAProxy(w, pid); err == nil {
			h.workers[c.p] = struct{}{}
		}
	}
	if len(h.workers) == 0 {
		return false
	}
	h.lost = 0
	return true
}

func (h *haproxyProc) hasWorker(pid int) bool {
	for c := range h.workers {
		if c.pid == pid {
			return true
		}
	}
	return false
}

// alone says why a master without a worker serves nothing.
func (h *haproxyProc) alone() string {
	return fmt.Sprintf("worker %v, pid %d, and master %d has no other", h.lostExit, h.lost, h.p.pid)
}

// deadWith says why the process has ended. A master ends when its worker does;
// that news may come second, and is the one that matters.
func (h *haproxyProc) deadWith(e exit) string {
	for c := range h.workers {
		if c.alive() {
			continue
		}
		if first := c.exit(); first.known && !first.clean() {
			return fmt.Sprintf("worker %v, pid %d, and master %d %v", first, c.pid, h.p.pid, e)
		}
	}
	return fmt.Sprintf("%v, pid %d", e, h.p.pid)
}

// isMaster reports whether a haproxy runs as a master: by its arguments, or by
// the environment that it gives itself when it executes itself again (haproxy
// 1.8 to 3.0; from 2.5 on it does so at each start). A 3.1 with "master-worker"
// in its file instead of -W or -Ws is followed as one process.
func isMaster(pid int) bool {
	for _, a := range readArgs(pid) {
		if a == "-W" || a == "-Ws" {
			return true
		}
	}
	env, err := os.ReadFile(procPath(pid, "environ"))
	return err == nil && (bytes.HasPrefix(env, []byte("HAPROXY_MWORKER")) ||
		bytes.Contains(env, []byte("\x00HAPROXY_MWORKER")))
}

// replaces reports whether a haproxy with these arguments was started to take
// over from one of old: "-sf 12 13" or "-st 12", up to the next word that is
// no number.
func replaces(args []string, old map[int]bool) bool {
	inList := false
	for _, a := range args {
		if a == "-sf" || a == "-st" {
			inList = true
			continue
		}
		pid, err := strconv.Atoi(a)
		inList = inList && err == nil
		if inList && old[pid] {
			return true
		}
	}
	return false
}

// generation identifies what serves: a process, and under a master the
// youngest worker, 0 if there is none or none is known.
type generation struct{ pid, worker int }

func generations(procs []*haproxyProc) []generation {
	out := make([]generation, 0, len(procs))
	for _, h := range procs {
		g := generation{pid: h.p.pid}
		var youngest uint64
		for c := range h.workers {
			// Two workers of one clock tick are told apart by pid.
			if c.start > youngest || c.start == youngest && c.pid > g.worker {
				youngest, g.worker = c.start, c.pid
			}
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b generation) int { return a.pid - b.pid })
	return out
}

// sameGeneration ignores a worker that is not known on one side.
func sameGeneration(a, b []generation) bool {
	return slices.EqualFunc(a, b, func(a, b generation) bool {
		return a.pid == b.pid && (a.worker == b.worker || a.worker == 0 || b.worker == 0)
	})
}

// mergeGeneration is b, with the workers of a where b knows none.
func mergeGeneration(a, b []generation) []generation {
	out := slices.Clone(b)
	for i := range out {
		for _, g := range a {
			if out[i].worker == 0 && g.pid == out[i].pid {
				out[i].worker = g.worker
			}
		}
	}
	return out
}

// describe is "12", "12 13", or "12 (worker 34)".
func describe(gs []generation) string {
	words := make([]string, 0, len(gs))
	for _, g := range gs {
		s := strconv.Itoa(g.pid)
		if g.worker != 0 {
			s += " (worker " + strconv.Itoa(g.worker) + ")"
		}
		words = append(words, s)
	}
	return strings.Join(words, " ")
}
