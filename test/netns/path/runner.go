// SPDX-License-Identifier: Apache-2.0

package path

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"hafast/test/netns/lab"
	"hafast/test/netns/path/load"
)

// Runner measures in a lab.
type Runner struct {
	Lab *lab.Lab
	// Window is how long each load is measured. Default 3 s.
	Window time.Duration
}

const (
	// warmup comes before each window.
	warmup = 500 * time.Millisecond
	// flows is how many flows the packets belong to.
	flows = 16
	// pace, in packets per second, is one that every way can keep on a small machine:
	// nothing is lost, so the same work is done and its cost can be compared.
	pace = 30000
)

// Result is one load over one way.
type Result struct {
	Way   string    `json:"way"`
	Load  load.Kind `json:"load"`
	Round int       `json:"round"`
	// Rate is what arrived, or was answered in full, per second.
	Rate float64 `json:"rate"`
	// LostShare is the share of packets that did not arrive, 0 to 1.
	LostShare float64 `json:"lost_share"`
	// Failed counts failed requests.
	Failed uint64 `json:"failed"`
	// CPUus is the processor time of the whole machine for each packet or request, in
	// microseconds.
	CPUus float64 `json:"cpu_us"`
	// IdleShare and StealShare are of the machine's processors, 0 to 1.
	IdleShare  float64 `json:"idle_share"`
	StealShare float64 `json:"steal_share"`
}

// String is the outcome in a few words.
func (r Result) String() string {
	text := fmt.Sprintf("%9.0f /s  %6.2f us of CPU each  %2.0f %% idle", r.Rate, r.CPUus, 100*r.IdleShare)
	if r.LostShare >= 0.0005 {
		text += fmt.Sprintf("  %.1f %% lost", 100*r.LostShare)
	}
	if r.Failed > 0 {
		text += fmt.Sprintf("  %d failed", r.Failed)
	}
	return text
}

var (
	// ErrMoved is returned when the VIP did not stay where it was: what was measured is
	// not the way then.
	ErrMoved = errors.New("the VIP moved under load")
	// ErrNotServed is returned for a way that leads nowhere.
	ErrNotServed = errors.New("the client is not served")
)

// Loads are what each way is measured with.
func (r *Runner) Loads() []load.Spec {
	window := r.Window
	if window == 0 {
		window = 3 * time.Second
	}
	spec := func(kind load.Kind, parallel int) load.Spec {
		return load.Spec{Kind: kind, Parallel: parallel, Warmup: warmup, Window: window}
	}
	paced := spec(load.PacedPackets, flows)
	paced.Pace = pace
	return []load.Spec{spec(load.Packets, flows), paced, spec(load.Requests, 32), spec(load.Connections, 32)}
}

// Run sets the way up and puts every load on it. Results that were measured
// before an error are returned with it.
func (r *Runner) Run(ctx context.Context, w Way) (results []Result, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", w.Name, err)
		}
	}()
	s, err := w.setUp(ctx, r.Lab)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.takeDown()) }()
	server := w.server(r.Lab)
	in, err := openSink(server)
	if err != nil {
		return nil, err
	}
	defer in.close()
	if err := r.awaitService(ctx, w, in); err != nil {
		return nil, err
	}
	for _, spec := range r.Loads() {
		result, err := r.measure(ctx, w, spec, in)
		if err != nil {
			return results, err
		}
		if w.target(r.Lab) == lab.VIP && (!s.near.HasAddr(lab.VIP) || s.far.HasAddr(lab.VIP)) {
			return results, ErrMoved
		}
		results = append(results, result)
	}
	return results, nil
}

// awaitService waits until both a page and a datagram get through: after that
// nothing that is counted is a matter of starting up.
func (r *Runner) awaitService(ctx context.Context, w Way, in *sink) error {
	ctx, cancel := context.WithTimeout(ctx, serveTimeout)
	defer cancel()
	before, err := in.arrived()
	if err != nil {
		return err
	}
	var last error
	err = lab.Eventually(ctx, "a page", func() bool {
		last = r.fetch(ctx, w.target(r.Lab))
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w: %w", ErrNotServed, err, last)
	}
	// The server's buffer takes some that are not counted until they are read.
	err = lab.Eventually(ctx, "datagrams", func() bool {
		conn, err := r.Lab.Client().Dial(ctx, "udp4", netip.AddrPortFrom(w.target(r.Lab), sinkPort).String())
		if err != nil {
			last = err
			return false
		}
		defer conn.Close()
		for range 16 {
			if _, last = conn.Write([]byte("x")); last != nil {
				return false
			}
		}
		after, err := in.arrived()
		last = err
		return err == nil && after > before
	})
	if err != nil {
		return fmt.Errorf("%w: %w: %w", ErrNotServed, err, last)
	}
	return nil
}

// fetch gets the page once.
func (r *Runner) fetch(ctx context.Context, from netip.Addr) error {
	client := http.Client{
		Timeout:   time.Second,
		Transport: &http.Transport{DialContext: r.Lab.Client().Dial, DisableKeepAlives: true},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+netip.AddrPortFrom(from, lab.HTTPPort).String(), nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err == nil && string(page) != lab.PageText {
		err = fmt.Errorf("%s, %q", answer.Status, page)
	}
	return err
}

// measure puts one load on a way that serves.
func (r *Runner) measure(ctx context.Context, w Way, spec load.Spec, in *sink) (Result, error) {
	port := uint16(lab.HTTPPort)
	packets := spec.Kind == load.Packets || spec.Kind == load.PacedPackets
	if packets {
		port = sinkPort
	}
	spec.Target = netip.AddrPortFrom(w.target(r.Lab), port)
	before, err := in.arrived()
	if err != nil {
		return Result{}, err
	}
	got, err := load.Run(ctx, r.Lab.Client(), spec)
	if err != nil {
		return Result{}, err
	}
	after, err := in.arrived()
	if err != nil {
		return Result{}, err
	}
	result := Result{Way: w.Name, Load: spec.Kind, Failed: got.Failed}
	counted := float64(got.Count)
	if packets {
		// What was sent is known for the window, what arrived for the whole run: the
		// share of the one in the other is applied to the window.
		arrived := min(1, float64(after-before)/float64(got.Sent))
		result.LostShare = 1 - arrived
		counted *= arrived
	}
	if counted == 0 {
		return Result{}, fmt.Errorf("%w: nothing got through of the %s", ErrNotServed, spec.Kind)
	}
	all := got.Machine.Busy + got.Machine.Idle + got.Machine.Steal
	result.Rate = counted / got.Elapsed.Seconds()
	result.CPUus = float64(got.Machine.Busy.Microseconds()) / counted
	result.IdleShare = got.Machine.Idle.Seconds() / all.Seconds()
	result.StealShare = got.Machine.Steal.Seconds() / all.Seconds()
	return result, nil
}
