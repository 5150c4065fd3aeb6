// SPDX-License-Identifier: Apache-2.0

package flowsync

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"hafast/internal/control"
	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
)

const (
	// warmup comes before each window.
	warmup = time.Second
	// headers are those of a datagram on the sync link: Ethernet's, IPv4's and UDP's.
	headers = ethernetLen + ipv4Len + 8
	// firstProbe is the number of the first client whose flow is looked for: the
	// generator does not get that far.
	firstProbe = 1 << 31
)

// Runner measures.
type Runner struct {
	// Rate is how many flows are begun per second. Default 50,000.
	Rate int
	// Window is how long the load is measured. Default 10 s.
	Window time.Duration
	// Probes are how many flows are looked for, for the lag. Default 300.
	Probes int
}

func (r *Runner) rate() int { return cmp.Or(r.Rate, 50_000) }

func (r *Runner) window() time.Duration { return cmp.Or(r.Window, 10*time.Second) }

func (r *Runner) probes() int { return cmp.Or(r.Probes, 300) }

// Load is what replication does under a steady load of new flows.
type Load struct {
	Proto string `json:"proto"`
	Round int    `json:"round"`
	// PerSecond is how many flows were begun.
	PerSecond float64 `json:"per_second"`
	// SenderUS and ReceiverUS are the processor time of the daemons on the Active host
	// and on the other for each flow, in microseconds, beyond what they use without.
	SenderUS   float64 `json:"sender_us"`
	ReceiverUS float64 `json:"receiver_us"`
	// IdleActive and IdleBackup are the daemons' shares of a core when there are no
	// flows, 0 to 1.
	IdleActive float64 `json:"idle_active"`
	IdleBackup float64 `json:"idle_backup"`
	// SentBytes and ReturnedBytes went over the sync link for each flow, from the Active
	// host and back, Ethernet's headers included; Datagrams were sent.
	SentBytes     float64 `json:"sent_bytes"`
	ReturnedBytes float64 `json:"returned_bytes"`
	Datagrams     float64 `json:"datagrams"`
	// Resyncs is how often the peer had to be told everything anew, from the start of the
	// daemons: the first time is one.
	Resyncs uint64 `json:"resyncs"`
	// Unprotected is what the daemon calls so right after the last flow, and SettledMS how
	// long it was until that was 0.
	Unprotected int     `json:"unprotected"`
	SettledMS   float64 `json:"settled_ms"`
	// Flows is how many the Active host has then, Missing how many of them the other lacks.
	Flows   int `json:"flows"`
	Missing int `json:"missing"`
	// ActiveMiB and BackupMiB are the daemons' resident memory then.
	ActiveMiB float64 `json:"active_mib"`
	BackupMiB float64 `json:"backup_mib"`
	// Idle and Loaded are the lag without and with the load.
	Idle   Lag `json:"idle"`
	Loaded Lag `json:"loaded"`
}

// String is the outcome in a few words.
func (l Load) String() string {
	text := fmt.Sprintf("%.0f flows/s: each %.2f + %.2f us, %.1f + %.1f bytes; lag idle %s, loaded %s; %d unprotected at the end, 0 after %.0f ms",
		l.PerSecond, l.SenderUS, l.ReceiverUS, l.SentBytes, l.ReturnedBytes, l.Idle, l.Loaded, l.Unprotected, l.SettledMS)
	if l.Missing != 0 {
		text += fmt.Sprintf("; %d of %d are missing", l.Missing, l.Flows)
	}
	return text
}

// capacityFor is how many TCP flows tables must hold for UDP's, which hold a quarter, to
// be a third empty after so many.
func capacityFor(udpFlows int) int { return max(1<<16, 6*udpFlows) }

// Load measures it with flows of a protocol.
func (r *Runner) Load(ctx context.Context, proto string) (result Load, err error) {
	result.Proto = proto
	all := time.Duration(r.rate()) * (r.window() + warmup + r.lagTime()) / time.Second
	err = inPair(ctx, capacityFor(int(all)), func(p *pair) error {
		ctx, cancel := context.WithTimeout(ctx, 2*setupTimeout+3*r.window()+4*r.lagTime())
		defer cancel()
		if err := p.start(ctx); err != nil {
			return err
		}
		if err := r.load(ctx, p, &result); err != nil {
			return err
		}
		return p.stayed()
	})
	if err != nil {
		err = fmt.Errorf("load of %s: %w", proto, err)
	}
	return result, err
}

func (r *Runner) load(ctx context.Context, p *pair, result *Load) error {
	probe, err := p.prober(result.Proto, r.probes())
	if err != nil {
		return err
	}
	defer probe.close()
	g, err := p.generator(result.Proto, 0)
	if err != nil {
		return err
	}
	defer g.close()

	idle, err := p.measure(ctx, g, r.window()/2)
	if err != nil {
		return err
	}
	if result.Idle, err = probe.lag(ctx); err != nil {
		return err
	}
	used, err := r.underLoad(ctx, p, g, func(ctx context.Context) (err error) {
		result.Loaded, err = probe.lag(ctx)
		return err
	})
	if err != nil {
		return err
	}
	used.fill(result, idle)
	return p.settle(ctx, result)
}

// underLoad runs the generator, measures a window of it, and does something more while it
// still runs.
func (r *Runner) underLoad(ctx context.Context, p *pair, g *generator, more func(context.Context) error) (u usage, err error) {
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- g.run(running, r.rate()) }()
	err = lab.Pass(ctx, warmup)
	if err == nil {
		u, err = p.measure(ctx, g, r.window())
	}
	if err == nil {
		err = more(ctx)
	}
	stop()
	return u, cmp.Or(err, <-ended)
}

// settle sees what the other host lacks when the load has ended, and waits for it.
func (p *pair) settle(ctx context.Context, result *Load) error {
	ended := time.Now()
	s, err := p.sync(ctx, p.active)
	if err != nil {
		return err
	}
	result.Unprotected = s.FlowsUnprotected
	if err := p.protected(ctx); err != nil {
		return err
	}
	result.SettledMS = figures.Milliseconds(time.Since(ended))
	if s, err = p.sync(ctx, p.active); err != nil {
		return err
	}
	for _, n := range s.Peers[0].Resyncs {
		result.Resyncs += n
	}
	active, backup, err := p.count(result.Proto)
	if err != nil {
		return err
	}
	result.Flows, result.Missing = active, active-backup
	if result.ActiveMiB, err = p.memory(p.active); err == nil {
		result.BackupMiB, err = p.memory(p.backup)
	}
	return err
}

// reading is everything at one moment.
type reading struct {
	at               time.Time
	flows            uint64
	sender, receiver time.Duration
	peer             control.SyncPeer
}

func (p *pair) read(ctx context.Context, g *generator) (v reading, err error) {
	s, err := p.sync(ctx, p.active)
	if err != nil {
		return v, err
	}
	v.peer = s.Peers[0]
	v.at, v.flows = time.Now(), g.begun.Load()
	v.sender, v.receiver, err = p.cpu()
	return v, err
}

// cpu is what the daemons have used so far.
func (p *pair) cpu() (active, backup time.Duration, err error) {
	if active, err = p.sys.Proc(p.active).CPU(); err == nil {
		backup, err = p.sys.Proc(p.backup).CPU()
	}
	return active, backup, err
}

// usage is what was used in a window.
type usage struct {
	span                           time.Duration
	flows                          float64
	sender, receiver               time.Duration
	sent, sentBytes, got, gotBytes float64
}

// measure returns what is used in a window.
func (p *pair) measure(ctx context.Context, g *generator, window time.Duration) (u usage, err error) {
	before, err := p.read(ctx, g)
	if err != nil {
		return u, err
	}
	if err := lab.Pass(ctx, window); err != nil {
		return u, err
	}
	after, err := p.read(ctx, g)
	if err != nil {
		return u, err
	}
	return usage{
		span: after.at.Sub(before.at), flows: float64(after.flows - before.flows),
		sender: after.sender - before.sender, receiver: after.receiver - before.receiver,
		sent: float64(after.peer.Sent - before.peer.Sent), sentBytes: float64(after.peer.SentBytes - before.peer.SentBytes),
		got: float64(after.peer.Received - before.peer.Received), gotBytes: float64(after.peer.ReceivedBytes - before.peer.ReceivedBytes),
	}, nil
}

// fill divides by the flows what was used beyond an idle window.
func (u usage) fill(l *Load, idle usage) {
	share := u.span.Seconds() / idle.span.Seconds()
	each := func(used, idle float64) float64 { return (used - share*idle) / u.flows }
	us := func(used, idle time.Duration) float64 {
		return each(float64(used), float64(idle)) / float64(time.Microsecond)
	}
	l.PerSecond = u.flows / u.span.Seconds()
	l.SenderUS, l.ReceiverUS = us(u.sender, idle.sender), us(u.receiver, idle.receiver)
	l.IdleActive, l.IdleBackup = idle.sender.Seconds()/idle.span.Seconds(), idle.receiver.Seconds()/idle.span.Seconds()
	l.SentBytes = each(u.sentBytes+headers*u.sent, idle.sentBytes+headers*idle.sent)
	l.ReturnedBytes = each(u.gotBytes+headers*u.got, idle.gotBytes+headers*idle.got)
	l.Datagrams = each(u.sent, idle.sent)
}
