package takeover

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"hafast/test/netns/lab"
)

// Runner measures takeovers in a lab. The zero value of all but Lab is usable.
type Runner struct {
	Lab *lab.Lab
	// Interval between fresh connections. Default 1 ms.
	Interval time.Duration
	// Held is the number of held connections. Default 100.
	Held int
	// Before is how long the client must have been served without a failure
	// before the fault, After how long afterwards. Default 300 ms and 500 ms.
	Before, After time.Duration
	// Spread is the span that the fault's moment is drawn from at random, so that it
	// falls anywhere between two adverts or two runs of a check. Default 2 s, the
	// longest interval of the systems measured.
	Spread time.Duration
	// Patience is how long a takeover may take. Default 15 s.
	Patience time.Duration
	// Observe, if set, is called every 50 ms or so while the load runs.
	Observe func(View)
}

// View is a case in progress.
type View struct {
	System string
	Fault  Fault
	Progress
	// SinceFault is 0 before the fault.
	SinceFault time.Duration
	// Holders are the hosts of the pair that carry the VIP on their interface
	// and could be reached when last looked at.
	Holders []string
}

// Result is one measured takeover.
type Result struct {
	System string `json:"system"`
	Fault  Fault  `json:"fault"`
	Round  int    `json:"round"`
	// NotApplicable is set where the system has no counterpart of the fault; all
	// that follows is zero then.
	NotApplicable bool `json:"not_applicable,omitempty"`
	// OutageMS is the outage in milliseconds; see FindOutage.
	OutageMS float64 `json:"outage_ms"`
	// Interruptions is how many pieces the outage is made of.
	Interruptions int `json:"interruptions"`
	// Recovered is false when the client was not served again in time.
	Recovered bool `json:"recovered"`
	// TakenOver is false when the standby did not get the VIP in time.
	TakenOver bool `json:"taken_over"`
	// TakeoverMS is from the fault to the VIP on the standby's interface, looked
	// at every 10 ms.
	TakeoverMS float64 `json:"takeover_ms"`
	Attempts   int     `json:"attempts"`
	Failed     int     `json:"failed"`
	// FailedBefore counts failures before the fault, of which there should be none.
	FailedBefore int `json:"failed_before"`
	// Held and Survivors count the held connections before and after.
	Held      int `json:"held"`
	Survivors int `json:"survivors"`
	// Responders is how many hosts answer ARP for the VIP in the end. It should be one.
	Responders int `json:"responders"`
	// Rate is the number of fresh connections per second over the whole case, and
	// ClientCPU the share of a processor that the client used for them.
	Rate      float64 `json:"rate"`
	ClientCPU float64 `json:"client_cpu"`
}

// ErrNotReady is returned when the client was not served steadily before the fault.
var ErrNotReady = errors.New("no steady service before the fault")

// Run brings the pair up afresh with the system, puts load on it, injects the fault
// on the active host and measures. That a takeover fails is a result, not an error.
func (r *Runner) Run(ctx context.Context, sys lab.System, fault Fault) (Result, error) {
	c := &run{
		Runner: r.withDefaults(),
		sys:    sys,
		fault:  fault,
		result: Result{System: sys.Name(), Fault: fault},
	}
	c.active, c.standby = r.Lab.Pair()
	if err := c.measure(ctx); err != nil {
		return c.result, fmt.Errorf("%s, %s: %w", sys.Name(), fault, err)
	}
	return c.result, nil
}

func (r *Runner) withDefaults() Runner {
	d := *r
	orDuration := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	orDuration(&d.Interval, time.Millisecond)
	orDuration(&d.Before, 300*time.Millisecond)
	orDuration(&d.After, 500*time.Millisecond)
	orDuration(&d.Spread, 2*time.Second)
	orDuration(&d.Patience, 15*time.Second)
	if d.Held == 0 {
		d.Held = 100
	}
	return d
}

// run is one case on its way.
type run struct {
	Runner
	sys             lab.System
	fault           Fault
	active, standby *lab.Host
	client          *remote
	// injected is when the fault was, in nanoseconds of CLOCK_MONOTONIC; 0 before.
	injected int64
	// settled is when nothing more was expected to happen: the takeover, at first the fault.
	settled int64
	result  Result
}

// setupTimeout bounds everything before the fault and, apart, after the recovery.
const setupTimeout = 20 * time.Second

func (c *run) measure(ctx context.Context) error {
	if !c.fault.AppliesTo(c.sys) {
		c.result.NotApplicable = true
		return nil
	}
	setup, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if err := c.bringUp(setup); err != nil {
		return err
	}
	var err error
	c.client, err = startClient(ctx, c.Lab.Client(), settings{
		Target:   netip.AddrPortFrom(lab.VIP, lab.HTTPPort),
		Held:     netip.AddrPortFrom(lab.VIP, lab.HeldPort),
		HeldN:    c.Held,
		Interval: c.Interval,
	})
	if err != nil {
		return err
	}
	defer c.client.close()
	started := monotonic()
	notBefore := started + rand.Int64N(int64(c.Spread))
	if err := c.await(setup, "steady service", func() bool {
		now, p := monotonic(), c.client.progress()
		return p.Held >= 0 && p.served(now, c.Before) && now >= notBefore
	}); err != nil {
		return fmt.Errorf("%w: %w", ErrNotReady, err)
	}
	if c.result.Held, err = c.client.rest(setup); err != nil {
		return err
	}

	c.injected = monotonic()
	c.settled = c.injected
	if err := c.fault.Inject(ctx, c.sys, c.active); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	if err := c.awaitRecovery(ctx); err != nil {
		return err
	}

	finish, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if c.result.Survivors, err = c.client.probe(finish); err != nil {
		return err
	}
	macs, err := c.Lab.Client().Responders(finish, lab.VIP, 250*time.Millisecond)
	if err != nil {
		return err
	}
	c.result.Responders = len(macs)
	c.result.ClientCPU = c.client.progress().CPU.Seconds() / time.Duration(monotonic()-started).Seconds()
	attempts, err := c.client.stop(finish)
	if err != nil {
		return err
	}
	c.result.Rate = float64(len(attempts)) / time.Duration(monotonic()-started).Seconds()
	c.evaluate(attempts)
	return nil
}

// bringUp starts from a clean pair, so that no case inherits anything.
func (c *run) bringUp(ctx context.Context) error {
	for _, h := range []*lab.Host{c.active, c.standby} {
		if err := h.Reset(); err != nil {
			return err
		}
		if err := h.StartHAProxy(ctx); err != nil {
			return err
		}
	}
	if err := c.Lab.Client().FlushNeighbours(); err != nil {
		return err
	}
	for _, h := range []*lab.Host{c.active, c.standby} {
		if err := c.sys.Start(ctx, h); err != nil {
			return err
		}
	}
	if err := lab.WaitSettled(ctx, c.sys, c.active, c.standby); err != nil {
		return fmt.Errorf("%w\n%s", err, lastLines(c.sys.Proc(c.active).Log(), 10))
	}
	return nil
}

// awaitRecovery waits until the standby has the VIP and the client has been served
// for a while, or until patience ends.
func (c *run) awaitRecovery(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	err := c.await(patience, "the takeover", func() bool {
		now := monotonic()
		if !c.result.TakenOver && c.standby.HasAddr(lab.VIP) {
			c.result.TakenOver = true
			c.settled = now
			c.result.TakeoverMS = milliseconds(time.Duration(now - c.injected))
		}
		// Attempts of that moment may still be waiting for their end.
		calm := now-c.settled > int64(c.After+AttemptTimeout)
		return c.result.TakenOver && calm && c.client.progress().served(now, c.After)
	})
	if err != nil && ctx.Err() == nil {
		// Out of patience: that is the result.
		return nil
	}
	return err
}

func (c *run) evaluate(attempts []Attempt) {
	outage := FindOutage(attempts, c.injected)
	c.result.OutageMS = milliseconds(outage.Duration)
	c.result.Interruptions = outage.Interruptions
	c.result.Recovered = outage.Recovered
	c.result.Attempts = outage.Attempts
	c.result.Failed = outage.Failed
	c.result.FailedBefore = outage.FailedBefore
}

// await is lab.Eventually with somebody watching.
func (c *run) await(ctx context.Context, what string, cond func() bool) error {
	var shown time.Time
	return lab.Eventually(ctx, what, func() bool {
		if c.Observe != nil && time.Since(shown) >= progressInterval {
			shown = time.Now()
			c.Observe(c.view())
		}
		return cond()
	})
}

func (c *run) view() View {
	v := View{System: c.sys.Name(), Fault: c.fault, Progress: c.client.progress()}
	if c.injected != 0 {
		v.SinceFault = time.Duration(monotonic() - c.injected)
	}
	for _, h := range []*lab.Host{c.active, c.standby} {
		cut := h == c.active && c.injected != 0 && (c.fault == HostDeath || c.fault == LinkDown)
		if !cut && h.HasAddr(lab.VIP) {
			v.Holders = append(v.Holders, h.Name)
		}
	}
	return v
}

// served reports whether the client has seen nothing but success for so long.
func (p Progress) served(now int64, long time.Duration) bool {
	return p.OKSince != 0 && now-p.OKSince >= int64(long)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// lastLines is the end of a log.
func lastLines(log string, n int) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
