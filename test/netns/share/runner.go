// SPDX-License-Identifier: Apache-2.0

package share

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"hafast/test/netns/lab"
	"hafast/test/netns/path/load"
)

// Runner measures in a lab.
type Runner struct {
	Lab *lab.Lab
	// Quota is what each haproxy may use of a processor, 0 to 1. Default 0.2.
	Quota float64
	// Window is how long the load is measured. Default 3 s.
	Window time.Duration
}

const (
	// setupTimeout bounds all that comes before the load.
	setupTimeout = 20 * time.Second
	// warmup comes before each window.
	warmup = time.Second
	// parallel is how many connections are in use at a time: enough to keep both
	// haproxies busy however they are spread.
	parallel = 64
	// renew is after how many requests a connection is opened anew, and so
	// assigned anew.
	renew = 50
	// slowAdverts are what a machine that is kept busy on purpose can keep up with;
	// fail-over is not measured here.
	slowAdverts = time.Second
)

// ErrMoved is returned when the VIP did not stay where it was.
var ErrMoved = errors.New("the VIP moved under load")

// Contestants are the systems that are compared, in the order of reports.
func Contestants() ([]lab.System, error) {
	var systems []lab.System
	for _, balance := range []string{"shared", "local"} {
		f, err := lab.NewHafast()
		if err != nil {
			return nil, err
		}
		f.Label, f.Balance, f.AdvertInterval = "hafast, "+balance, balance, slowAdverts
		systems = append(systems, f)
	}
	return append(systems, lab.KeepalivedSeed()), nil
}

// Host is how one of the pair fared.
type Host struct {
	// CPU is what its haproxy used of a processor, 0 to 1; the kernel's work at
	// haproxy's expense is in it.
	CPU float64 `json:"cpu"`
	// Throttled is the share of its quota's periods in which it had used all of it up,
	// of those in which it ran at all.
	Throttled float64 `json:"throttled"`
}

// Result is one system under load.
type Result struct {
	System string `json:"system"`
	Round  int    `json:"round"`
	// Rate is requests answered per second, Failed those that were not at all.
	Rate   float64 `json:"rate"`
	Failed uint64  `json:"failed"`
	// Active and Standby are the hosts of the pair.
	Active  Host `json:"active"`
	Standby Host `json:"standby"`
	// Client and Web are what the load's two ends used of a processor.
	Client float64 `json:"client"`
	Web    float64 `json:"web"`
	// IdleShare and StealShare are of the machine's processors, 0 to 1.
	IdleShare  float64 `json:"idle_share"`
	StealShare float64 `json:"steal_share"`
}

// String is the outcome in a few words.
func (r Result) String() string {
	text := fmt.Sprintf("%7.0f /s  haproxies use %2.0f %% and %2.0f %% of a core, throttled %2.0f %% and %2.0f %% of the time; "+
		"client %2.0f %%, web %2.0f %%; %2.0f %% idle", r.Rate, 100*r.Active.CPU, 100*r.Standby.CPU,
		100*r.Active.Throttled, 100*r.Standby.Throttled, 100*r.Client, 100*r.Web, 100*r.IdleShare)
	if r.Failed > 0 {
		text += fmt.Sprintf("; %d failed", r.Failed)
	}
	return text
}

func (r *Runner) quota() float64 {
	if r.Quota == 0 {
		return 0.2
	}
	return r.Quota
}

// Run brings the pair up afresh with limited haproxies and puts the load on.
func (r *Runner) Run(ctx context.Context, sys lab.System) (result Result, err error) {
	result.System = sys.Name()
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", sys.Name(), err)
		}
	}()
	active, standby := r.Lab.Pair()
	defer func() { err = errors.Join(err, active.Reset(), standby.Reset()) }()
	if err := r.bringUp(ctx, sys); err != nil {
		return result, err
	}
	spec := load.Spec{
		Kind: load.Requests, Target: netip.AddrPortFrom(lab.VIP, lab.HTTPPort),
		Parallel: parallel, Renew: renew, Warmup: warmup, Window: r.Window,
	}
	if spec.Window == 0 {
		spec.Window = 3 * time.Second
	}
	before, err := r.read(active, standby)
	if err != nil {
		return result, err
	}
	got, err := load.Run(ctx, r.Lab.Client(), spec)
	if err != nil {
		return result, err
	}
	after, err := r.read(active, standby)
	if err != nil {
		return result, err
	}
	if !active.HasAddr(lab.VIP) || standby.HasAddr(lab.VIP) {
		return result, ErrMoved
	}
	// The haproxies and the web server are read around the whole run, whose warm-up is
	// under the same load as its window.
	span := after.at.Sub(before.at)
	result.Rate, result.Failed = got.Rate(), got.Failed
	result.Active, result.Standby = after.active.since(before.active, span), after.standby.since(before.standby, span)
	result.Web = (after.web - before.web).Seconds() / span.Seconds()
	result.Client = got.ClientCPU.Seconds() / got.Elapsed.Seconds()
	all := got.Machine.Busy + got.Machine.Idle + got.Machine.Steal
	result.IdleShare = got.Machine.Idle.Seconds() / all.Seconds()
	result.StealShare = got.Machine.Steal.Seconds() / all.Seconds()
	return result, nil
}

// bringUp starts from a clean pair and returns when the first host is Active and the
// client is served.
func (r *Runner) bringUp(ctx context.Context, sys lab.System) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	active, standby := r.Lab.Pair()
	for _, h := range []*lab.Host{active, standby} {
		if err := h.Reset(); err != nil {
			return err
		}
		if err := h.LimitHAProxy(r.quota()); err != nil {
			return err
		}
		if err := h.StartHAProxy(ctx); err != nil {
			return err
		}
	}
	if err := r.Lab.Client().FlushNeighbours(); err != nil {
		return err
	}
	for _, h := range []*lab.Host{active, standby} {
		if err := sys.Start(ctx, h); err != nil {
			return err
		}
	}
	return lab.WaitSettled(ctx, sys, active, standby)
}

// reading is what has been used at one moment.
type reading struct {
	at              time.Time
	active, standby used
	web             time.Duration
}

type used struct {
	cpu        time.Duration
	throttling lab.Throttling
}

func (r *Runner) read(active, standby *lab.Host) (reading, error) {
	var errs [3]error
	v := reading{at: time.Now()}
	v.active, errs[0] = readHost(active)
	v.standby, errs[1] = readHost(standby)
	v.web, errs[2] = r.Lab.WebServer().CPU()
	return v, errors.Join(errs[:]...)
}

func readHost(h *lab.Host) (u used, err error) {
	p := h.HAProxy()
	if p == nil {
		return u, fmt.Errorf("%s: %w", h.Name, lab.ErrNoHAProxy)
	}
	if u.cpu, err = p.CPU(); err != nil {
		return u, err
	}
	u.throttling, err = h.Throttling()
	return u, err
}

func (u used) since(before used, span time.Duration) Host {
	h := Host{CPU: (u.cpu - before.cpu).Seconds() / span.Seconds()}
	if periods := u.throttling.Periods - before.throttling.Periods; periods > 0 {
		h.Throttled = float64(u.throttling.Throttled-before.throttling.Throttled) / float64(periods)
	}
	return h
}
