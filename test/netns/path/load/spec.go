// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// variable holds the client's Spec, and by its presence makes the program a client.
const variable = "HAFAST_LOAD_CLIENT"

// errUnknownKind is returned for a load that does not exist.
var errUnknownKind = errors.New("unknown kind of load")

// Kind is a sort of load.
type Kind string

// The loads that there are.
const (
	// Packets sends small UDP datagrams, one way, as quickly as one thread can.
	Packets Kind = "udp packets"
	// PacedPackets sends them at a steady pace.
	PacedPackets Kind = "udp packets, paced"
	// Requests asks for a small page again and again over connections that stay open.
	Requests Kind = "http requests"
	// Connections asks for it over a new connection each time.
	Connections Kind = "new connections"
)

// Spec is what a client is to do.
type Spec struct {
	Kind   Kind
	Target netip.AddrPort
	// Parallel is how many connections are in use at a time, or how many sockets,
	// and so flows, the packets come from.
	Parallel int
	// Pace is how many packets are sent per second, with PacedPackets.
	Pace int
	// Renew opens a connection anew after so many requests; 0 never does.
	Renew int
	// Warmup comes before the Window in which things are counted.
	Warmup, Window time.Duration
}

// Result is what was counted in the window.
type Result struct {
	// Count is of packets sent, or of requests answered in full; Failed of all others.
	Count, Failed uint64
	// Sent is the count of the whole run, the warm-up included.
	Sent    uint64
	Elapsed time.Duration
	// ClientCPU is the client's own processor time: with packets, most of the
	// way to the receiver is in it.
	ClientCPU time.Duration
	Machine   Machine
}

// Rate is the count per second.
func (r Result) Rate() float64 { return float64(r.Count) / r.Elapsed.Seconds() }

// Run puts the load on from the host and returns what was counted.
func Run(ctx context.Context, host *lab.Host, s Spec) (Result, error) {
	var r Result
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return r, err
	}
	var out, complaints bytes.Buffer
	cmd := host.Command(ctx, self)
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("%s to %s: %w: %s", s.Kind, s.Target, err, bytes.TrimSpace(complaints.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("%s to %s: the client's answer: %w", s.Kind, s.Target, err)
	}
	return r, nil
}

// Main turns the calling program into a client and ends it, if it was started as
// one; otherwise it does nothing. Call it before anything else.
func Main() {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	// A signal to the whole terminal is for the program that is in charge of clean-up.
	signal.Ignore(unix.SIGINT)
	if err := runClient(text); err != nil {
		fmt.Fprintln(os.Stderr, "load client:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runClient(text string) error {
	var s Spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	r, err := s.run(context.Background())
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// run makes the load and counts.
func (s Spec) run(ctx context.Context) (Result, error) {
	var c counter
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var work func(context.Context) error
	switch s.Kind {
	case Packets, PacedPackets:
		work = func(ctx context.Context) error { return s.sendPackets(ctx, &c) }
	case Requests, Connections:
		work = func(ctx context.Context) error { return s.sendRequests(ctx, &c) }
	default:
		return Result{}, fmt.Errorf("%w %q", errUnknownKind, s.Kind)
	}
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	// pause waits, unless the work ends first.
	pause := func(d time.Duration) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case err := <-done:
			return fmt.Errorf("ended early: %w", err)
		}
	}
	if err := pause(s.Warmup); err != nil {
		return Result{}, err
	}
	before, err := takeReading(&c)
	if err != nil {
		return Result{}, err
	}
	if err := pause(s.Window); err != nil {
		return Result{}, err
	}
	after, err := takeReading(&c)
	if err != nil {
		return Result{}, err
	}
	stop()
	if err := <-done; err != nil {
		return Result{}, err
	}
	r := after.since(before)
	r.Sent = c.ok.Load()
	return r, nil
}
