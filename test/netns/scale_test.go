// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"hafast/test/netns/lab"
)

// TestScale holds as many virtual routers as an interface can have, at ten adverts
// a second each, for a while in which none may change its state.
func TestScale(t *testing.T) {
	const instances, hold = 255, 15 * time.Second
	p := newPair(t)
	p.fresh(t, func(h *lab.Host) string {
		text := "haproxy: off\ninstances:\n"
		for i := 1; i <= instances; i++ {
			text += vi(h, fmt.Sprintf("VI_%d", i), i, "100ms", []string{fmt.Sprintf("10.10.0.%d", i)}, "")
		}
		return text
	})
	p.start(t, p.a)
	p.start(t, p.b)
	p.settled(t, p.a)
	p.quiet(t, hold)
	for _, h := range []*lab.Host{p.a, p.b} {
		if n := len(p.status(t, h).Instances); n != instances {
			t.Errorf("%s has %d instances", h.Name, n)
		}
	}
	p.settled(t, p.a)
}

// TestIdle shows what a daemon costs that has nothing to do.
func TestIdle(t *testing.T) {
	p := newPair(t)
	p.run(t, func(h *lab.Host) string {
		return watching(h) + "instances:\n" + vi(h, "VI_1", 51, "1s", []string{lab.VIP.String()}, "")
	})
	p.quiet(t, 10*time.Second)
}

// quiet fails the test at the first transition within that time, on either host, and
// logs what the daemons cost meanwhile.
func (p *pair) quiet(t *testing.T, long time.Duration) {
	t.Helper()
	hosts := []*lab.Host{p.a, p.b}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	start := time.Now()
	before := make(map[*lab.Host]time.Duration)
	ends := make(chan error, len(hosts))
	for _, h := range hosts {
		before[h] = cpuTime(t, p.sys.Proc(h))
		seq := p.lastSeq(t, h)
		go func() { ends <- p.transition(ctx, h, seq) }()
	}
	for range hosts {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
	took := time.Since(start)
	for _, h := range hosts {
		share := float64(cpuTime(t, p.sys.Proc(h))-before[h]) / float64(took)
		t.Logf("%s: %.2f %% of a core over %v, %.1f MiB resident",
			h.Name, 100*share, took.Round(time.Second), float64(resident(t, p.sys.Proc(h)))/(1<<20))
	}
}

// transition returns an error for the first transition after seq, and nil when ctx
// ends without one.
func (p *pair) transition(ctx context.Context, h *lab.Host, seq uint64) error {
	for ev, err := range p.client(h).Follow(ctx, seq) {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", h.Name, err)
		case ev.Kind == "transition":
			return fmt.Errorf("%s: %s: %s -> %s: %s", h.Name, ev.Instance, ev.From, ev.To, ev.Cause)
		}
	}
	if ctx.Err() == nil {
		return errors.New(h.Name + " stopped telling of events")
	}
	return nil
}

// cpuTime is the processor time of a process so far, user and system (proc(5): fields
// 14 and 15 of stat, in ticks of 10 ms).
func cpuTime(t *testing.T, proc *lab.Proc) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", proc.PID()))
	check(t, err)
	// The second field is the name, which may hold anything but ends with the last ).
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		check(t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident is the memory of a process in bytes (proc(5): the second field of statm,
// in pages).
func resident(t *testing.T, proc *lab.Proc) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", proc.PID()))
	check(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	check(t, err)
	return pages * os.Getpagesize()
}
