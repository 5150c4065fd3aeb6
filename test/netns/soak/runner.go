// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// Result is what one host has to tell after the soak.
type Result struct {
	Host string `json:"host"`
	// Transitions and Lapses are those after the pair had settled. There should be none.
	Transitions int    `json:"transitions"`
	Lapses      uint64 `json:"lapses"`
	// Downs is how often it took its peer for dead.
	Downs    int              `json:"downs"`
	Liveness control.Liveness `json:"liveness"`
}

// Runner soaks a lab.
type Runner struct {
	Lab *lab.Lab
	// For is how long.
	For time.Duration
	// Progress, if set, is called every few seconds.
	Progress func(elapsed time.Duration)
}

// Run brings the pair up, keeps the processors busy, waits, and asks both hosts.
func (r *Runner) Run(ctx context.Context, sys *lab.Hafast) (results []Result, err error) {
	a, b := r.Lab.Pair()
	hosts := []*lab.Host{a, b}
	for _, h := range hosts {
		if err := errors.Join(h.Reset(), h.StartHAProxy(ctx)); err != nil {
			return nil, err
		}
	}
	for _, h := range hosts {
		if err := sys.Start(ctx, h); err != nil {
			return nil, err
		}
	}
	if err := lab.WaitSettled(ctx, sys, a, b); err != nil {
		return nil, err
	}
	since := make(map[*lab.Host]uint64)
	for _, h := range hosts {
		events, err := control.NewClient(sys.Socket(h)).Events(ctx, 0)
		if err != nil {
			return nil, err
		}
		for _, ev := range events {
			since[h] = ev.Seq
		}
	}
	stop, err := keepBusy(ctx, r.For)
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := r.wait(ctx); err != nil {
		return nil, err
	}
	for _, h := range hosts {
		result, err := ask(ctx, sys, h, since[h])
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

func (r *Runner) wait(ctx context.Context) error {
	started := time.Now()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	over := time.After(r.For)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over:
			return nil
		case <-tick.C:
			if r.Progress != nil {
				r.Progress(time.Since(started))
			}
		}
	}
}

// keepBusy has a process for each processor do nothing at full speed. They end by
// themselves, should nobody stop them.
func keepBusy(ctx context.Context, long time.Duration) (stop func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, long+time.Minute)
	var busy []*exec.Cmd
	stop = func() {
		cancel()
		for _, cmd := range busy {
			_ = cmd.Wait() // it was killed
		}
	}
	for range runtime.NumCPU() {
		cmd := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			stop()
			return nil, fmt.Errorf("keep a processor busy: %w", err)
		}
		busy = append(busy, cmd)
	}
	return stop, nil
}

func ask(ctx context.Context, sys *lab.Hafast, h *lab.Host, since uint64) (Result, error) {
	result := Result{Host: h.Name}
	client := control.NewClient(sys.Socket(h))
	st, err := client.Status(ctx)
	if err != nil {
		return result, err
	}
	events, err := client.Events(ctx, since)
	if err != nil {
		return result, err
	}
	for _, ev := range events {
		switch {
		case ev.Kind == "transition":
			result.Transitions++
		case ev.Kind == "liveness" && ev.To == control.StateDown:
			result.Downs++
		}
	}
	if st.XDP.Lease != nil {
		result.Lapses = st.XDP.Lease.Lapses
	}
	if len(st.Liveness) != 1 {
		return result, fmt.Errorf("%s: liveness with %d peers, want 1: %s", h.Name, len(st.Liveness), st.XDP.Reason)
	}
	result.Liveness = st.Liveness[0]
	return result, nil
}
