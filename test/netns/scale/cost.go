// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
)

// Cost is what a pair cost that nothing happened to.
type Cost struct {
	System    string `json:"system"`
	Instances int    `json:"instances"`
	// IntervalMS is the pause between the adverts of an instance.
	IntervalMS float64 `json:"interval_ms"`
	WindowS    float64 `json:"window_s"`
	// Hosts are the Active and the Backup.
	Hosts []HostCost `json:"hosts"`
	// Adverts is how many were seen on the wire.
	Adverts int `json:"adverts"`
	// Changes counts the adverts that came from another host than those before
	// them. There should be none.
	Changes int `json:"changes"`
	// LongestGapMS is the longest pause between two adverts of one instance.
	LongestGapMS float64 `json:"longest_gap_ms"`
}

// HostCost is the share of one host.
type HostCost struct {
	// Role is active or backup.
	Role string `json:"role"`
	// CPU is the daemon's share of one core in per cent, ScriptsCPU that of the
	// processes that it started meanwhile.
	CPU        float64 `json:"cpu_percent"`
	ScriptsCPU float64 `json:"scripts_cpu_percent"`
	// RSSMiB and PSSMiB are the sums over the daemon's processes.
	RSSMiB float64 `json:"rss_mib"`
	PSSMiB float64 `json:"pss_mib"`
	// Processes is how many those are.
	Processes int `json:"processes"`
	// Transitions the daemon counts in the window. There should be none.
	Transitions int `json:"transitions"`
}

// String is the outcome in a few words.
func (c Cost) String() string {
	var b strings.Builder
	for _, h := range c.Hosts {
		fmt.Fprintf(&b, "%s %.2f %% of a core, %.1f MiB  ", h.Role, h.CPU, h.RSSMiB)
	}
	fmt.Fprintf(&b, "%d changes on the wire", c.Changes)
	return b.String()
}

// Cost brings the pair up afresh with the plan, waits until it idles, and measures it
// for so long.
func (r *Runner) Cost(ctx context.Context, sys Contestant, plan Plan, window time.Duration) (Cost, error) {
	cost := Cost{
		System: sys.Name(), Instances: len(plan.Instances),
		IntervalMS: figures.Milliseconds(plan.Interval), WindowS: window.Seconds(),
	}
	err := r.measureCost(ctx, sys, plan, window, &cost)
	if err != nil {
		err = fmt.Errorf("%s, %d instances: %w", sys.Name(), len(plan.Instances), err)
	}
	return cost, err
}

func (r *Runner) measureCost(ctx context.Context, sys Contestant, plan Plan, window time.Duration, cost *Cost) error {
	if err := r.bringUp(ctx, sys, plan); err != nil {
		return err
	}
	if err := lab.Pass(ctx, burstsOver); err != nil {
		return err
	}
	capture, err := newCapture(r.Lab.Client())
	if err != nil {
		return err
	}
	defer capture.close()
	active, standby := r.Lab.Pair()
	hosts := []*lab.Host{active, standby}
	// Asking a daemon costs it something, so that is kept out of the readings.
	earlier, err := transitions(ctx, sys, hosts)
	if err != nil {
		return err
	}
	before, err := readAll(sys, hosts)
	if err != nil {
		return err
	}
	var v vigil
	for end := before[0].at.Add(window); time.Now().Before(end); {
		if err := lab.Pass(ctx, min(time.Second, time.Until(end))); err != nil {
			return err
		}
		if err := capture.drain(v.see); err != nil {
			return err
		}
	}
	after, err := readAll(sys, hosts)
	if err != nil {
		return err
	}
	later, err := transitions(ctx, sys, hosts)
	if err != nil {
		return err
	}
	cost.WindowS = after[0].at.Sub(before[0].at).Seconds()
	cost.Adverts, cost.Changes, cost.LongestGapMS = v.adverts, v.changes, figures.Milliseconds(v.longestGap)
	for i, role := range []string{"active", "backup"} {
		h := before[i].to(after[i])
		h.Role, h.Transitions = role, later[i]-earlier[i]
		cost.Hosts = append(cost.Hosts, h)
	}
	return nil
}

// transitions asks the daemons of all hosts.
func transitions(ctx context.Context, sys Contestant, hosts []*lab.Host) ([]int, error) {
	counts := make([]int, len(hosts))
	for i, h := range hosts {
		var err error
		if counts[i], err = sys.transitions(ctx, h); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// reading is what a daemon has used up to a moment.
type reading struct {
	at     time.Time
	usage  usage
	memory memory
}

// readAll takes the readings of all hosts.
func readAll(sys Contestant, hosts []*lab.Host) ([]reading, error) {
	readings := make([]reading, len(hosts))
	for i, h := range hosts {
		r := reading{at: time.Now()}
		var err error
		if r.usage, err = readUsage(sys.Proc(h).PID()); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		if r.memory, err = r.usage.readMemory(); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		readings[i] = r
	}
	return readings, nil
}

// to is the cost between two readings; the memory is that of the later one.
func (r reading) to(after reading) HostCost {
	percent := func(d time.Duration) float64 { return 100 * d.Seconds() / after.at.Sub(r.at).Seconds() }
	daemon, scripts := after.usage.since(r.usage)
	const mib = 1 << 20
	return HostCost{
		CPU:        percent(daemon),
		ScriptsCPU: percent(scripts),
		RSSMiB:     float64(after.memory.rss) / mib,
		PSSMiB:     float64(after.memory.pss) / mib,
		Processes:  len(after.usage.processes),
	}
}
