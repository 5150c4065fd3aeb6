// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// loopback is the test's own: no other process of the machine listens there.
func loopback() netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(pid>>16)%200 + 1, byte(pid >> 8), byte(pid)%250 + 1})
}

// master speaks to a worker as the program that measures does, without a process.
type master struct {
	t       *testing.T
	in      io.WriteCloser
	answers *json.Decoder
	ended   chan error
}

func command(t *testing.T, w worker) *master {
	t.Helper()
	commands, in := io.Pipe()
	out, answers := io.Pipe()
	m := &master{t: t, in: in, answers: json.NewDecoder(out), ended: make(chan error, 1)}
	go func() {
		err := obey(t.Context(), w, commands, answers)
		_ = answers.Close()
		_ = commands.Close()
		m.ended <- err
	}()
	t.Cleanup(m.end)
	return m
}

func (m *master) end() {
	_ = m.in.Close()
	select {
	case err := <-m.ended:
		if err != nil {
			m.t.Errorf("it ended with: %v", err)
		}
		m.ended <- nil
	case <-time.After(10 * time.Second):
		m.t.Error("it does not end with its input")
	}
}

// ask sends a command and returns what is wrong with it.
func (m *master) ask(command string, into any) string {
	m.t.Helper()
	if _, err := io.WriteString(m.in, command+"\n"); err != nil {
		m.t.Fatal(err)
	}
	var r reply
	if err := m.answers.Decode(&r); err != nil {
		m.t.Fatal(err)
	}
	if r.Error == "" && into != nil {
		if err := json.Unmarshal(r.Answer, into); err != nil {
			m.t.Fatal(err)
		}
	}
	return r.Error
}

func (m *master) must(command string, into any) {
	m.t.Helper()
	if problem := m.ask(command, into); problem != "" {
		m.t.Fatalf("%s: %s", command, problem)
	}
}

func serve(t *testing.T) Target {
	t.Helper()
	target := Target{Addr: loopback(), Port: 7000, Ports: 2}
	command(t, newServer(ServerSpec{Target: target})).must(cmdReady, nil)
	return target
}

func TestLoad(t *testing.T) {
	target := serve(t)
	tests := []struct {
		name string
		spec LoadSpec
		// most is how many there may be in a second; 0 for any number.
		most float64
	}{
		{"as quickly as it goes", LoadSpec{Target: target, Workers: 2}, 0},
		{"paced", LoadSpec{Target: target, Workers: 10, Pace: 100}, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := command(t, newLoad(tt.spec))
			m.must(cmdReady, nil)
			var before, c Count
			m.must(cmdCount, &before)
			for c.OK < before.OK+20 {
				m.must(cmdCount, &c)
			}
			if c.Failed > 0 {
				t.Errorf("%d failed of %d", c.Failed, c.OK)
			}
			// What was held up is made up for, but nothing comes early.
			since := time.Duration(c.At-before.At).Seconds() + 0.2
			if rate := float64(c.OK-before.OK) / since; tt.most > 0 && rate > tt.most {
				t.Errorf("%.0f a second, at most %.0f are to be made", rate, tt.most)
			}
		})
	}
}

func TestNobodyServes(t *testing.T) {
	m := command(t, newLoad(LoadSpec{Target: Target{Addr: loopback(), Port: 7100, Ports: 1}, Workers: 1}))
	var c Count
	for c.Failed == 0 {
		m.must(cmdCount, &c)
	}
	if c.OK != 0 {
		t.Errorf("%d were answered by nobody", c.OK)
	}
}

func TestHeld(t *testing.T) {
	target := serve(t)
	m := command(t, newHeld(HeldSpec{Target: target, Quick: 2, Others: 3, QuickInterval: time.Millisecond, Interval: 2 * time.Millisecond}))
	m.must(cmdReady, nil)
	m.must(cmdReset, nil)
	moment := monotonic()
	var r Reading
	for r.Alive < 5 {
		m.must(cmdRead+" "+strconv.FormatInt(moment, 10), &r)
	}
	if r.Open != 5 || r.Gone != 0 || len(r.Quick) != 2 || r.Longest <= 0 || r.Longest < r.Quick[1] {
		t.Errorf("%+v", r)
	}
	m.must(cmdRead+" "+strconv.FormatInt(moment+int64(time.Hour), 10), &r)
	if r.Alive != 0 {
		t.Errorf("%d have echoed what will be sent in an hour", r.Alive)
	}
	if problem := m.ask(cmdRead+" then", nil); problem == "" {
		t.Error("a moment that is no number was accepted")
	}
}

func TestReadingOfTheDead(t *testing.T) {
	h := newHeld(HeldSpec{})
	at := func(echo, longest int64, gone, quick bool) {
		c := &heldConn{quick: quick}
		c.lastEcho.Store(echo)
		c.longest.Store(longest)
		c.gone.Store(gone)
		h.conns = append(h.conns, c)
	}
	at(100, 7, false, false)
	at(101, 5, false, true)
	at(102, 3, false, true)
	at(99, 900, false, true)  // silent since
	at(103, 900, true, false) // ended after it
	got := h.read(100)
	if got.Open != 5 || got.Gone != 1 || got.Alive != 3 || got.Longest != 7 || len(got.Quick) != 2 || got.Quick[0] != 3 {
		t.Errorf("%+v", got)
	}
}

func TestHeldSaysWhyItCannot(t *testing.T) {
	commands, in := io.Pipe()
	defer in.Close()
	w := newHeld(HeldSpec{Target: Target{Addr: loopback(), Port: 7200, Ports: 1}, Others: 1})
	var out strings.Builder
	ended := make(chan error, 1)
	go func() { ended <- obey(t.Context(), w, commands, &out) }()
	if _, err := io.WriteString(in, cmdReady+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(out.String(), "connection refused") {
		t.Errorf("%v, and it says %q", err, out.String())
	}
}

func TestUnknownCommand(t *testing.T) {
	for _, w := range []worker{newServer(ServerSpec{}), newLoad(LoadSpec{}), newHeld(HeldSpec{})} {
		if _, err := w.answer(context.Background(), "dance"); !errors.Is(err, errUnknownCommand) {
			t.Errorf("%T: %v", w, err)
		}
	}
	if _, err := (job{}).worker(); err == nil {
		t.Error("a job without work was accepted")
	}
}
