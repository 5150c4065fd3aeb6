// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"

	"golang.org/x/sys/unix"
)

const (
	// samples is how many connections are followed, lagWindow for how long at most.
	samples   = 200
	lagWindow = 6 * time.Second
	// lookEvery is the pause between two looks for a connection, and so the error of a
	// sample.
	lookEvery = 100 * time.Microsecond
	// lostAfter is how long a connection is looked for.
	lostAfter = 2 * time.Second
	// sampleEvery is the pause between two connections: nothing is under way then.
	sampleEvery = 10 * time.Millisecond
)

// errNotServed is returned when no connection gets through.
var errNotServed = errors.New("the client is not served")

// Lag is how long after a connection is established the other router knows it.
type Lag struct {
	System string `json:"system"`
	Round  int    `json:"round"`
	// Load is how many other connections were begun per second meanwhile.
	Load int `json:"load"`
	// MS has the samples in milliseconds, in order of size. Missing are those that
	// were not known in time.
	MS      []float64 `json:"ms"`
	Missing int       `json:"missing"`
	// LookMS is how long it takes to look for a connection once, the pause before it
	// included, at the median: no sample is more precise. 0 without samples.
	LookMS float64 `json:"look_ms"`
}

// String is the outcome in a few words.
func (l Lag) String() string {
	text := fmt.Sprintf("lag at %d /s: %s, looked every %.2f ms", l.Load, lagText(l.MS), l.LookMS)
	if l.Missing > 0 {
		text += fmt.Sprintf(", %d missing", l.Missing)
	}
	return text
}

// Lag measures it, on idle routers and while they have a load. There is none for a
// system that replicates nothing.
func (r *Runner) Lag(ctx context.Context, sys System) (lags []Lag, err error) {
	if !Replicates(sys) {
		return nil, nil
	}
	err = inPair(ctx, sys, func(p *pair) error {
		ctx, cancel := context.WithTimeout(ctx, 2*setupTimeout+2*(lagWindow+lostAfter))
		defer cancel()
		if err := p.start(ctx); err != nil {
			return err
		}
		look, err := p.looker()
		if err != nil {
			return err
		}
		defer look.close()
		idle, err := p.measureLag(ctx, look)
		if err != nil {
			return err
		}
		lags = append(lags, idle)
		l, err := p.startLoad(ctx, r.paced())
		if err != nil {
			return err
		}
		defer l.Close()
		loaded, err := p.measureLag(ctx, look)
		loaded.Load = r.paced().Pace
		if err == nil {
			lags = append(lags, loaded)
		}
		return err
	})
	return lags, err
}

// measureLag opens connections one by one, from a thread inside the client.
func (p *pair) measureLag(ctx context.Context, look *looker) (Lag, error) {
	result := Lag{System: p.sys.Name()}
	var looks []float64
	err := p.Client().Do(func() error {
		for n, end := 0, time.Now().Add(lagWindow); n < samples && time.Now().Before(end); n++ {
			if err := lab.Pass(ctx, sampleEvery); err != nil {
				return err
			}
			lag, pause, err := look.follow(p.target().Nth(uint64(n)))
			switch {
			case errors.Is(err, errMissing):
				result.Missing++
			case err != nil:
				return err
			default:
				result.MS = append(result.MS, figures.Milliseconds(lag))
				looks = append(looks, figures.Milliseconds(pause))
			}
		}
		return nil
	})
	slices.Sort(result.MS)
	if slices.Sort(looks); len(looks) > 0 {
		result.LookMS = figures.Percentile(looks, 0.5)
	}
	return result, err
}

// errMissing is returned for a connection that the other router never knew.
var errMissing = errors.New("not replicated")

// looker looks for connections on the backup.
type looker struct {
	table *table
	// knows reports whether the backup has the connection, established.
	knows func(flow) (bool, error)
}

func (p *pair) looker() (*looker, error) {
	if cache, ok := p.sys.(cacher); ok && cache.KeepsCache() {
		return &looker{knows: func(f flow) (bool, error) {
			text, err := cache.External(p.backup)
			return hasEstablished(text, f), err
		}}, nil
	}
	t, err := openTable(p.backup)
	if err != nil {
		return nil, err
	}
	return &looker{table: t, knows: t.established}, nil
}

func (l *looker) close() {
	if l.table != nil {
		_ = l.table.close()
	}
}

// follow opens a connection and returns how long after that the other router knows it,
// and how long it took to look for it the last time.
func (l *looker) follow(to netip.AddrPort) (lag, pause time.Duration, err error) {
	fd, f, err := dial(to)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(fd)
	established := time.Now()
	for before := established; ; {
		found, err := l.knows(f)
		now := time.Now()
		lag, pause = now.Sub(established), now.Sub(before)
		switch {
		case err != nil || found:
			return lag, pause, err
		case lag > lostAfter:
			return lag, pause, errMissing
		}
		before = now
		// The runtime's timers are late by most of a millisecond.
		pause := unix.NsecToTimespec(int64(lookEvery))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &pause, nil)
	}
}

// dial opens a connection without the runtime's poller, which would learn of it later.
// The caller is inside the client.
func dial(to netip.AddrPort) (fd int, f flow, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, f, err
	}
	timeout := unix.NsecToTimeval(int64(lostAfter))
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout)
	for err == nil {
		// A signal of the runtime's interrupts it, and it goes on.
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EALREADY) {
			err = nil
			continue
		}
		if errors.Is(err, unix.EISCONN) {
			err = nil
		}
		break
	}
	var own unix.Sockaddr
	if err == nil {
		own, err = unix.Getsockname(fd)
	}
	if err != nil {
		return -1, f, errors.Join(fmt.Errorf("%w: connect to %s: %w", errNotServed, to, err), unix.Close(fd))
	}
	from := own.(*unix.SockaddrInet4)
	return fd, flow{from: netip.AddrPortFrom(netip.AddrFrom4(from.Addr), uint16(from.Port)), to: to}, nil
}

// hasEstablished finds an established connection among conntrackd's lines, such as
// "tcp 6 ESTABLISHED src=10.9.1.200 dst=10.9.2.200 sport=24760 dport=7005 [ASSURED]".
func hasEstablished(text string, f flow) bool {
	want := fmt.Sprintf(" ESTABLISHED src=%s dst=%s sport=%d dport=%d ", f.from.Addr(), f.to.Addr(), f.from.Port(), f.to.Port())
	return strings.Contains(text, want)
}
