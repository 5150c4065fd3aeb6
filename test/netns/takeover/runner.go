// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"hafast/test/netns/figures"
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
	// Alarm is how long a false alarm lasts. Default 20 ms.
	Alarm time.Duration
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
	// Holders are the hosts that carry the VIP on their interface
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
	// AsExpected is false when the VIP was not where the fault should have left it
	// in time: on the standby if Fault.MovesVIP, else on the active host alone.
	AsExpected bool `json:"as_expected"`
	// TakenOver is whether the standby has had the VIP and could be reached.
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
	// HeldOnSurvivor counts those among Held whose haproxy runs on a host that the
	// fault does not hit, SurvivorsOnSurvivor those of them that survived: nothing
	// has happened to their haproxy.
	HeldOnSurvivor      int `json:"held_on_survivor"`
	SurvivorsOnSurvivor int `json:"survivors_on_survivor"`
	// Responders is how many hosts answer ARP for the VIP in the end. It should be one.
	Responders int `json:"responders"`
	// Rate is the number of fresh connections per second over the whole case, and
	// ClientCPU the share of a processor that the client used for them.
	Rate      float64 `json:"rate"`
	ClientCPU float64 `json:"client_cpu"`
}

// ErrNotReady is returned when the client was not served steadily before the fault.
var ErrNotReady = errors.New("no steady service before the fault")

// Run brings the hosts of the system up afresh, puts load on it, injects the fault
// and measures. That a takeover fails is a result, not an error.
func (r *Runner) Run(ctx context.Context, sys lab.System, fault Fault) (Result, error) {
	c := &run{
		Runner: r.withDefaults(),
		sys:    sys,
		fault:  fault,
		result: Result{System: sys.Name(), Fault: fault},
	}
	c.members = lab.Members(sys, r.Lab)
	c.active, c.standby = c.members[0], c.members[1]
	c.hit = c.active
	if fault.HitsStandby() {
		c.hit = c.standby
	}
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
	orDuration(&d.Alarm, 20*time.Millisecond)
	orDuration(&d.Patience, 15*time.Second)
	if d.Held == 0 {
		d.Held = 100
	}
	return d
}

// run is one case on its way.
type run struct {
	Runner
	sys   lab.System
	fault Fault
	// members are the hosts that the system is on; the others of the lab rest.
	members []*lab.Host
	// active is the first of them, standby its successor.
	active, standby *lab.Host
	// hit is the one that the fault hits.
	hit    *lab.Host
	client *remote
	// injected is when the fault was, in nanoseconds of CLOCK_MONOTONIC; 0 before.
	injected int64
	// settled is since when the VIP has been where it should be, 0 while it is not.
	settled int64
	// asked is when the daemon was last asked for its state, said its answer.
	asked  time.Time
	said   lab.State
	result Result
}

// setupTimeout bounds everything before the fault and, apart, after the recovery.
const setupTimeout = 20 * time.Second

func (c *run) measure(ctx context.Context) (err error) {
	if !c.fault.AppliesTo(c.sys) {
		c.result.NotApplicable = true
		return nil
	}
	setup, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if err := c.bringUp(setup); err != nil {
		return err
	}
	c.client, err = startClient(ctx, c.Lab.Client(), settings{
		Target:   netip.AddrPortFrom(lab.VIP, lab.HTTPPort),
		Held:     netip.AddrPortFrom(lab.VIP, lab.HeldPort),
		HeldN:    c.Held,
		Beat:     c.fault.beat(),
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
		return p.Held == c.Held && p.served(now, c.Before) && now >= notBefore
	}); err != nil {
		return fmt.Errorf("%w: %w", ErrNotReady, err)
	}
	held, err := c.standing(setup)
	if err != nil {
		return err
	}
	spared := c.spared(held)
	c.result.Held, c.result.HeldOnSurvivor = len(held), len(spared)

	if err := c.inject(ctx); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	defer func() { err = errors.Join(err, c.fault.Mend(c.sys, c.hit)) }()
	if err := c.awaitRecovery(ctx); err != nil {
		return err
	}

	finish, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if c.fault.inUse() {
		if _, err := c.client.rest(finish); err != nil {
			return err
		}
	}
	survivors, err := c.client.probe(finish)
	if err != nil {
		return err
	}
	c.result.Survivors = len(survivors)
	for _, conn := range survivors {
		if slices.Contains(spared, conn) {
			c.result.SurvivorsOnSurvivor++
		}
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

// bringUp starts from clean hosts, so that no case inherits anything.
func (c *run) bringUp(ctx context.Context) error {
	for _, h := range c.Lab.Group() {
		if err := h.Reset(); err != nil {
			return err
		}
	}
	for _, h := range c.members {
		if err := h.StartHAProxy(ctx); err != nil {
			return err
		}
	}
	if err := c.Lab.Client().FlushNeighbours(); err != nil {
		return err
	}
	for _, h := range c.members {
		if err := c.sys.Start(ctx, h); err != nil {
			return err
		}
	}
	if c.fault == FalseAlarm { // made beforehand: that takes longer than the fault lasts
		if _, err := c.hit.PortSwitch(); err != nil {
			return err
		}
	}
	if err := lab.WaitSettled(ctx, c.sys, c.active, c.members[1:]...); err != nil {
		return fmt.Errorf("%w\n%s", err, c.sys.Proc(c.active).LastLines(10))
	}
	return nil
}

// standing returns the held connections that stand. They rest from then on, unless the
// fault hits them in use.
func (c *run) standing(ctx context.Context) ([]netip.AddrPort, error) {
	if c.fault.inUse() {
		return c.client.list(ctx)
	}
	return c.client.rest(ctx)
}

// spared returns those of the connections whose haproxy is on a host that the fault does
// not hit.
func (c *run) spared(conns []netip.AddrPort) []netip.AddrPort {
	var there []netip.AddrPort
	for _, conn := range conns {
		if h := c.Lab.ServedBy(conn); h != nil && h != c.hit {
			there = append(there, conn)
		}
	}
	return there
}

// inject makes the fault happen and notes the time.
func (c *run) inject(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	c.injected = monotonic()
	return c.fault.Inject(ctx, c.sys, c.hit, c.Alarm)
}

// awaitRecovery waits until the VIP has been where it should be, and the client been
// served, for a while, or until patience ends.
func (c *run) awaitRecovery(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	err := c.await(patience, "the recovery", func() bool {
		now := monotonic()
		switch c.look(now); {
		case !c.isInPlace(patience):
			c.settled = 0
		case c.settled == 0:
			c.settled = now
		}
		c.result.AsExpected = c.settled != 0
		// Attempts of that moment may still be waiting for their end.
		calm := c.settled != 0 && now-c.settled > int64(c.After+AttemptTimeout)
		return calm && c.client.progress().served(now, c.After)
	})
	if err != nil && ctx.Err() == nil {
		// Out of patience: that is the result.
		return nil
	}
	return err
}

// look notes when a successor has got the VIP. One that is cut off and believes itself
// alone takes over nothing.
func (c *run) look(now int64) {
	if !c.result.TakenOver && c.fault != StandbyDeath && len(c.successors()) > 0 {
		c.result.TakenOver = true
		c.result.TakeoverMS = figures.Milliseconds(time.Duration(now - c.injected))
	}
}

// successors are the members other than the active one that carry the VIP.
func (c *run) successors() (list []*lab.Host) {
	for _, h := range c.members[1:] {
		if h.HasAddr(lab.VIP) {
			list = append(list, h)
		}
	}
	return list
}

// isInPlace reports whether the VIP is where the fault should leave it: on the standby, or
// on the active host where it does not move, and on nobody else who can be reached.
func (c *run) isInPlace(ctx context.Context) bool {
	successors := c.successors()
	if c.fault.MovesVIP() {
		return len(successors) == 1 && successors[0] == c.standby
	}
	if c.fault.cutsOff() { // the standby may believe itself alone
		successors = slices.DeleteFunc(successors, func(h *lab.Host) bool { return h == c.hit })
	}
	return c.active.HasAddr(lab.VIP) && len(successors) == 0 && c.stateOfActive(ctx) == lab.StateActive
}

// stateOfActive is what the daemon said last. Asking starts a process, so it is not
// done all the time.
func (c *run) stateOfActive(ctx context.Context) lab.State {
	if time.Since(c.asked) >= c.After/4 {
		c.said = c.sys.State(ctx, c.active)
		c.asked = time.Now()
	}
	return c.said
}

func (c *run) evaluate(attempts []Attempt) {
	outage := FindOutage(attempts, c.injected)
	c.result.OutageMS = figures.Milliseconds(outage.Duration)
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
	for _, h := range c.members {
		cut := h == c.hit && c.injected != 0 && c.fault.cutsOff()
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
