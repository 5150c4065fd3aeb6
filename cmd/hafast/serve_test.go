// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"hafast/internal/control"
)

// scenario is what the daemon behind a script's socket answers.
type scenario struct {
	Status control.Status      `json:"status"`
	Events []control.Event     `json:"events"`
	Drain  control.DrainResult `json:"drain"`
	Flows  []control.Flow      `json:"flows"`
	// FlowsError is what ends the list of flows.
	FlowsError string `json:"flows_error"`
	// Left, if there are any, are the connections of the first target at each
	// status; the last one stays.
	Left []int `json:"left"`
	// Error, if set, is the answer to everything.
	Error string `json:"error"`
}

// scripted is a daemon that answers from a scenario.
type scripted struct {
	control.Journal
	scenario scenario

	mu      sync.Mutex
	asked   map[string]int
	changed *sync.Cond
	stop    func()
}

func newScripted(s scenario) *scripted {
	d := &scripted{scenario: s, asked: map[string]int{}}
	d.changed = sync.NewCond(&d.mu)
	for _, ev := range s.Events {
		d.Append(ev)
	}
	return d
}

// answer counts a request and returns the scenario's error.
func (d *scripted) answer(request string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[request]++
	d.changed.Broadcast()
	if d.scenario.Error != "" {
		return errors.New(d.scenario.Error)
	}
	return nil
}

func (d *scripted) Status(context.Context) (control.Status, error) {
	err := d.answer("status")
	d.mu.Lock()
	defer d.mu.Unlock()
	st := d.scenario.Status
	if left := d.scenario.Left; len(left) > 0 {
		st.Targets = slices.Clone(st.Targets)
		st.Targets[0].Connections = &left[min(d.asked["status"], len(left))-1]
	}
	return st, err
}

func (d *scripted) Flows(_ context.Context, yield func(control.Flow) error) error {
	if err := d.answer("flows"); err != nil {
		return err
	}
	for _, f := range d.scenario.Flows {
		if err := yield(f); err != nil {
			return err
		}
	}
	if text := d.scenario.FlowsError; text != "" {
		return errors.New(text)
	}
	return nil
}

func (d *scripted) Events(_ context.Context, since uint64) ([]control.Event, error) {
	return d.Since(since), d.answer("events")
}

func (d *scripted) Drain(ctx context.Context) (control.DrainResult, error) {
	if err := d.answer("drain"); err != nil {
		return control.DrainResult{}, err
	}
	if len(d.scenario.Drain.Kept) > 0 {
		<-ctx.Done()
	}
	return d.scenario.Drain, nil
}

func (d *scripted) Ready(context.Context) error { return d.answer("ready") }

// daemonKey is where a script's values have its slot.
type daemonKey struct{}

// slot holds the daemon of a script, once there is one.
type slot struct{ daemon *scripted }

func daemonOf(ts *testscript.TestScript) *scripted {
	d := ts.Value(daemonKey{}).(*slot).daemon
	if d == nil {
		ts.Fatalf("no daemon: 'serve' comes first")
	}
	return d
}

// cmdServe starts a daemon: serve SCENARIO.json. The times of its instances and
// liveness sessions are set to two hours ago, as ages are shown.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve SCENARIO")
	}
	dec := json.NewDecoder(bytes.NewBufferString(ts.ReadFile(args[0])))
	dec.DisallowUnknownFields()
	var s scenario
	ts.Check(dec.Decode(&s))
	ago := time.Now().Add(-2*time.Hour - 3*time.Minute - time.Second)
	for i := range s.Status.Instances {
		s.Status.Instances[i].Since = ago
	}
	for i := range s.Status.Liveness {
		s.Status.Liveness[i].Since = ago
	}
	d := newScripted(s)
	ln, err := control.Listen(ts.Getenv("SOCK"), nil)
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.NewServer(d, slog.New(slog.DiscardHandler)).Serve(ctx, ln) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			ts.Logf("serve: %v", err)
		}
	})
	ts.Defer(d.stop)
	ts.Value(daemonKey{}).(*slot).daemon = d
}

// cmdServeNoMore stops the daemon.
func cmdServeNoMore(ts *testscript.TestScript, _ bool, _ []string) { daemonOf(ts).stop() }

// cmdAppend adds an event: append CAUSE.
func cmdAppend(ts *testscript.TestScript, _ bool, args []string) {
	daemonOf(ts).Append(control.Event{
		Time: time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC), Kind: "health", Cause: args[0],
	})
}

// cmdAsked waits until the daemon has been asked: asked REQUEST TIMES.
func cmdAsked(ts *testscript.TestScript, _ bool, args []string) {
	times, err := strconv.Atoi(args[1])
	ts.Check(err)
	d := daemonOf(ts)
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.asked[args[0]] < times {
		d.changed.Wait()
	}
}
