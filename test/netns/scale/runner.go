// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"context"
	"fmt"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
)

const (
	// promotionInterval is the pause between adverts that both daemons are tuned to
	// for quick failover.
	promotionInterval = 10 * time.Millisecond
	// settleTimeout is how long a pair may take to settle.
	settleTimeout = 30 * time.Second
	// promotionTimeout is how long a takeover may take from the fault to the
	// last announcement.
	promotionTimeout = 15 * time.Second
	// settleFor is how long the pair must have stayed as it is.
	settleFor = 300 * time.Millisecond
	// lookEvery is how often a pair that settles is looked at: listing a thousand
	// addresses keeps the kernel from adding others.
	lookEvery = 100 * time.Millisecond
	// burstsOver is when the announcements that a daemon repeats after its
	// promotion, by default after 5 s with both, are over and it idles.
	burstsOver = 6 * time.Second
)

// Runner measures in a lab.
type Runner struct{ Lab *lab.Lab }

// Promotion is one measured takeover by the standby.
type Promotion struct {
	System string `json:"system"`
	VIPs   int    `json:"vips"`
	Round  int    `json:"round"`
	// Complete is false when something was not announced in time; the times
	// are zero then, and Missing counts the VIPs.
	Complete bool `json:"complete"`
	Missing  int  `json:"missing"`
	// FirstMS is from the new Active's first advert to the first VIP's announcement,
	// AllMS to that of the last VIP, in milliseconds.
	FirstMS float64 `json:"first_ms"`
	AllMS   float64 `json:"all_ms"`
	// PhasesUS are the steps as the daemon reports them, in microseconds.
	PhasesUS map[string]float64 `json:"phases_us,omitempty"`
}

// String is the outcome in a few words.
func (p Promotion) String() string {
	if !p.Complete {
		return fmt.Sprintf("incomplete, %d VIPs were not announced in time", p.Missing)
	}
	return fmt.Sprintf("first %9s  all %9s", formatMS(p.FirstMS), formatMS(p.AllMS))
}

// Promotion brings the pair up afresh with so many VIPs in one instance, lets the
// Active fall silent and measures the takeover. That the takeover fails is a result, not
// an error.
func (r *Runner) Promotion(ctx context.Context, sys Contestant, vips int) (Promotion, error) {
	result := Promotion{System: sys.Name(), VIPs: vips}
	plan := OneInstance(vips, promotionInterval)
	active, standby := r.Lab.Pair()
	if err := r.bringUp(ctx, sys, plan); err != nil {
		return result, fmt.Errorf("%s, %d VIPs: %w", sys.Name(), vips, err)
	}
	capture, err := newCapture(r.Lab.Client())
	if err != nil {
		return result, err
	}
	defer capture.close()
	if err := active.SilentDeath(); err != nil {
		return result, err
	}

	p := newPromotion(standby.Addr, [6]byte(standby.MAC), plan.VIPs())
	var failure error
	patience, cancel := context.WithTimeout(ctx, promotionTimeout)
	defer cancel()
	timeout := lab.Eventually(patience, "the announcements", func() bool {
		failure = capture.drain(p.see)
		return failure != nil || p.done()
	})
	if failure != nil || ctx.Err() != nil {
		return result, fmt.Errorf("%s, %d VIPs: %w", sys.Name(), vips, firstOf(failure, context.Cause(ctx)))
	}
	result.Missing = len(p.missing)
	if timeout == nil {
		result.Complete = true
		result.FirstMS, result.AllMS = figures.Milliseconds(p.toFirst()), figures.Milliseconds(p.toAll())
	}
	result.PhasesUS, err = sys.phases(ctx, standby)
	return result, err
}

// bringUp starts from a clean pair and returns when the first host is Active for
// the whole plan.
func (r *Runner) bringUp(ctx context.Context, sys Contestant, plan Plan) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	active, standby := r.Lab.Pair()
	for _, h := range []*lab.Host{active, standby} {
		if err := h.Reset(); err != nil {
			return err
		}
		if err := h.StartHAProxy(ctx); err != nil {
			return err
		}
	}
	for _, h := range []*lab.Host{active, standby} {
		if err := sys.carry(ctx, h, plan); err != nil {
			return err
		}
	}
	if err := lab.Steadily(ctx, sys.Name()+" to settle", settleFor, seldom(lookEvery, func() bool {
		return carries(active, plan) == len(plan.VIPs()) && carries(standby, plan) == 0 &&
			sys.State(ctx, active) == lab.StateActive && sys.State(ctx, standby) == lab.StateBackup
	})); err != nil {
		return fmt.Errorf("%w; %s carries %d addresses, %s %d", err,
			active.Name, carries(active, plan), standby.Name, carries(standby, plan))
	}
	return nil
}

// seldom evaluates cond at most once in so long and stands by its answer in between.
func seldom(pause time.Duration, cond func() bool) func() bool {
	var (
		looked time.Time
		answer bool
	)
	return func() bool {
		if time.Since(looked) >= pause {
			answer = cond()
			looked = time.Now()
		}
		return answer
	}
}

// carries counts the addresses of the plan that the host has on its interface.
func carries(h *lab.Host, plan Plan) int {
	addrs, err := h.Addrs(lab.Interface)
	if err != nil {
		return -1
	}
	have := make(map[string]bool, len(addrs))
	for _, a := range addrs {
		have[a.Addr().String()] = true
	}
	var n int
	for _, v := range plan.VIPs() {
		if have[v.String()] {
			n++
		}
	}
	return n
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
