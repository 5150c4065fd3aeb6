// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"

	"hafast/test/netns/lab"
	"hafast/test/netns/path/load"
	"hafast/test/netns/sync/traffic"
)

// warmup comes before each window.
const warmup = time.Second

// unpaced is a load of workers that open one connection after the other: enough to keep
// the machine busy.
var unpaced = traffic.LoadSpec{Workers: 32}

// Rate is how quickly connections are made through the routers, and what they cost.
type Rate struct {
	System string `json:"system"`
	Round  int    `json:"round"`
	// PerSecond is how many are answered while the client goes as fast as it can,
	// Failed how many were not.
	PerSecond float64 `json:"per_second"`
	Failed    uint64  `json:"failed"`
	// Cost is at a steady pace.
	Cost Cost `json:"cost"`
}

// Cost is what a connection costs, from its first packet to its last, beyond what the
// routers use when there is none: adverts and probes go on all the time.
type Cost struct {
	// PerSecond is how many were answered, Failed how many were not.
	PerSecond float64 `json:"per_second"`
	Failed    uint64  `json:"failed"`
	// SenderUS and ReceiverUS are the processor time of the daemons on the router that
	// is Active and on the other, in microseconds.
	SenderUS   float64 `json:"sender_us"`
	ReceiverUS float64 `json:"receiver_us"`
	// IdleActive and IdleBackup are the daemons' shares of a core when there are no
	// connections, 0 to 1.
	IdleActive float64 `json:"idle_active"`
	IdleBackup float64 `json:"idle_backup"`
	// MachineUS is the time in which the machine's processors were neither idle nor
	// taken away: the client, the server, and forwarding are in it.
	MachineUS float64 `json:"machine_us"`
	// SentBytes and ReturnedBytes went over the sync link, from the Active router and
	// back, Ethernet's headers included.
	SentBytes     float64 `json:"sent_bytes"`
	ReturnedBytes float64 `json:"returned_bytes"`
}

// String is the outcome in a few words.
func (r Rate) String() string {
	text := fmt.Sprintf("%6.0f /s; at %.0f /s each costs the daemons %.1f + %.1f us, the machine %.0f us, the link %.0f + %.0f bytes",
		r.PerSecond, r.Cost.PerSecond, r.Cost.SenderUS, r.Cost.ReceiverUS, r.Cost.MachineUS, r.Cost.SentBytes, r.Cost.ReturnedBytes)
	if failed := r.Failed + r.Cost.Failed; failed > 0 {
		text += fmt.Sprintf("; %d failed", failed)
	}
	return text
}

// Rate measures it.
func (r *Runner) Rate(ctx context.Context, sys System) (Rate, error) {
	result := Rate{System: sys.Name()}
	err := inPair(ctx, sys, func(p *pair) error {
		ctx, cancel := context.WithTimeout(ctx, 2*setupTimeout+3*(warmup+r.window()))
		defer cancel()
		if err := p.start(ctx); err != nil {
			return err
		}
		idle, err := p.measureIdle(ctx, r.window())
		if err != nil {
			return err
		}
		// The cost first: it is measured while the tables are small.
		paced, err := p.measureLoad(ctx, r.paced(), warmup, r.window())
		if err != nil {
			return err
		}
		result.Cost = paced.cost(idle)
		free, err := p.measureLoad(ctx, unpaced, warmup, r.window())
		if err != nil {
			return err
		}
		result.PerSecond, result.Failed = free.perSecond(), free.failed
		return nil
	})
	return result, err
}

// measureIdle returns what is used in a window without connections.
func (p *pair) measureIdle(ctx context.Context, window time.Duration) (usage, error) {
	return p.measure(ctx, window, func() (traffic.Count, error) { return traffic.Count{At: int64(traffic.Now())}, nil })
}

// measureLoad puts a load on, and returns what is used in a window of it, after so long
// a warm-up.
func (p *pair) measureLoad(ctx context.Context, spec traffic.LoadSpec, warmup, window time.Duration) (usage, error) {
	l, err := p.startLoad(ctx, spec)
	if err != nil {
		return usage{}, err
	}
	defer l.Close()
	if err := lab.Pass(ctx, warmup); err != nil {
		return usage{}, err
	}
	u, err := p.measure(ctx, window, func() (traffic.Count, error) { return l.Count(ctx) })
	if err == nil && u.ok == 0 {
		err = fmt.Errorf("%w: %d failed", errNotServed, u.failed)
	}
	return u, err
}

// measure returns what is used in a window.
func (p *pair) measure(ctx context.Context, window time.Duration, count func() (traffic.Count, error)) (usage, error) {
	before, err := p.takeReading(count)
	if err != nil {
		return usage{}, err
	}
	if err := lab.Pass(ctx, window); err != nil {
		return usage{}, err
	}
	after, err := p.takeReading(count)
	if err != nil {
		return usage{}, err
	}
	return after.since(before, runtime.NumCPU()), nil
}

// reading is everything at one moment.
type reading struct {
	count            traffic.Count
	machine          load.Machine
	sender, receiver time.Duration
	sent, returned   uint64
}

func (p *pair) takeReading(count func() (traffic.Count, error)) (v reading, err error) {
	if v.count, err = count(); err != nil {
		return v, err
	}
	if v.machine, err = load.ReadMachine(); err != nil {
		return v, err
	}
	if v.sender, err = p.daemonsCPU(p.active); err != nil {
		return v, err
	}
	if v.receiver, err = p.daemonsCPU(p.backup); err != nil {
		return v, err
	}
	v.sent, v.returned, err = syncBytes(p.active)
	return v, err
}

func (p *pair) daemonsCPU(h *lab.Host) (sum time.Duration, err error) {
	for _, d := range p.sys.Daemons(h) {
		used, err := d.CPU()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// syncBytes is what the host has sent to the sync link and received from it.
func syncBytes(h *lab.Host) (sent, received uint64, err error) {
	err = h.Do(func() error {
		link, err := netlink.LinkByName(lab.SyncInterface)
		if err != nil {
			return err
		}
		s := link.Attrs().Statistics
		sent, received = s.TxBytes, s.RxBytes
		return nil
	})
	return sent, received, err
}

// usage is what was used between two readings.
type usage struct {
	span             time.Duration
	ok, failed       uint64
	busy             time.Duration
	sender, receiver time.Duration
	sent, returned   uint64
}

// since is what was used after an earlier reading, on a machine of so many processors.
func (v reading) since(before reading, processors int) usage {
	u := usage{
		span: time.Duration(v.count.At - before.count.At),
		ok:   v.count.OK - before.count.OK, failed: v.count.Failed - before.count.Failed,
		sender: v.sender - before.sender, receiver: v.receiver - before.receiver,
		sent: v.sent - before.sent, returned: v.returned - before.returned,
	}
	machine := v.machine.Since(before.machine)
	// What is busy is sampled at the clock tick, what is idle is measured.
	u.busy = u.span*time.Duration(processors) - machine.Idle - machine.Steal
	return u
}

// perSecond is how many connections were answered each second.
func (u usage) perSecond() float64 { return float64(u.ok) / u.span.Seconds() }

// cost divides by the connections what was used beyond an idle window.
func (u usage) cost(idle usage) Cost {
	share := u.span.Seconds() / idle.span.Seconds()
	each := func(used, idle float64) float64 { return (used - share*idle) / float64(u.ok) }
	us := func(used, idle time.Duration) float64 {
		return each(float64(used), float64(idle)) / float64(time.Microsecond)
	}
	return Cost{
		PerSecond: u.perSecond(), Failed: u.failed,
		SenderUS: us(u.sender, idle.sender), ReceiverUS: us(u.receiver, idle.receiver), MachineUS: us(u.busy, idle.busy),
		IdleActive: idle.sender.Seconds() / idle.span.Seconds(), IdleBackup: idle.receiver.Seconds() / idle.span.Seconds(),
		SentBytes: each(float64(u.sent), float64(idle.sent)), ReturnedBytes: each(float64(u.returned), float64(idle.returned)),
	}
}
