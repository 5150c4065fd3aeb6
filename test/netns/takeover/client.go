// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// clientVariable holds the client's settings, and by its presence makes the
// program a client.
const clientVariable = "HAFAST_TAKEOVER_CLIENT"

// progressInterval is how often the client reports.
const progressInterval = 50 * time.Millisecond

// Commands to the client, one per line on its standard input. It ends with the
// input too, and so never outlives the program that started it.
const (
	cmdList  = "list"
	cmdRest  = "rest"
	cmdProbe = "probe"
	cmdStop  = "stop"
)

// settings is what a client is to do.
type settings struct {
	Target   netip.AddrPort
	Held     netip.AddrPort
	HeldN    int
	Beat     time.Duration
	Interval time.Duration
}

// message is a line of the client's standard output. Exactly one field is set.
type message struct {
	Progress *Progress  `json:"progress,omitempty"`
	Standing *standing  `json:"standing,omitempty"`
	Probed   *probed    `json:"probed,omitempty"`
	Report   *[]Attempt `json:"report,omitempty"`
}

type (
	// standing says which held connections still stand, by the client's address and port.
	standing struct{ Held []netip.AddrPort }
	// probed says which held connections answered the probe.
	probed struct{ Survivors []netip.AddrPort }
)

// Progress is what the client has seen so far.
type Progress struct {
	// Attempts is how many have ended, Failed how many of them badly.
	Attempts, Failed int
	// OKSince is when the first attempt started of the unbroken run of successes
	// up to now, in nanoseconds of CLOCK_MONOTONIC; 0 while there is none.
	OKSince int64
	// Held is how many held connections stand; -1 while they are being opened.
	Held int
	// CPU is the processor time the client has used.
	CPU time.Duration
}

// ClientMain turns the calling program into the measuring client and ends it, if
// it was started as one; otherwise it does nothing. Call it before anything else.
func ClientMain() {
	text, ok := os.LookupEnv(clientVariable)
	if !ok {
		return
	}
	// A signal to the whole terminal is for the program that is in charge of clean-up.
	signal.Ignore(unix.SIGINT)
	var s settings
	err := json.Unmarshal([]byte(text), &s)
	if err == nil {
		err = runClient(context.Background(), s, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "takeover client:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runClient makes the load until it is told to stop.
func runClient(ctx context.Context, s settings, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var mu sync.Mutex
	encoder := json.NewEncoder(out)
	send := func(m message) error {
		mu.Lock()
		defer mu.Unlock()
		return encoder.Encode(m)
	}

	held := newHeldConns(s.Held, s.Beat)
	load := newLoad(s.Target, s.Interval)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { held.open(ctx, s.HeldN) })
	wg.Go(func() { load.run(ctx) })
	wg.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			p := load.progress()
			p.Held, p.CPU = held.standing(), ownCPU()
			// When nobody listens any more the input ends too.
			_ = send(message{Progress: &p})
		}
	})

	commands := bufio.NewScanner(in)
	for commands.Scan() {
		var err error
		switch commands.Text() {
		case cmdList:
			err = send(message{Standing: &standing{Held: held.list()}})
		case cmdRest:
			err = send(message{Standing: &standing{Held: held.rest()}})
		case cmdProbe:
			err = send(message{Probed: &probed{Survivors: held.probe()}})
		case cmdStop:
			attempts := load.stop()
			return send(message{Report: &attempts})
		default:
			err = errors.New("unknown command " + commands.Text())
		}
		if err != nil {
			return err
		}
	}
	return commands.Err()
}

// monotonic is CLOCK_MONOTONIC in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	// It cannot fail with this clock and a valid pointer.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
