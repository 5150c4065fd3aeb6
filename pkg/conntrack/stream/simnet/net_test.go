// SPDX-License-Identifier: Apache-2.0

package simnet

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// recorder writes down what arrives.
type recorder struct {
	net  *Net
	seen []string
	wake time.Time
}

func (r *recorder) Receive(now time.Time, from int, datagram []byte) {
	r.seen = append(r.seen, fmt.Sprintf("%v %d %s", now.Sub(Epoch), from, datagram))
}
func (r *recorder) Deadline() time.Time { return r.wake }
func (r *recorder) Tick(now time.Time) {
	r.wake = time.Time{}
	r.seen = append(r.seen, fmt.Sprintf("%v tick", now.Sub(Epoch)))
}

func record(n *Net, id int) *recorder {
	r := &recorder{net: n}
	n.Attach(id, r)
	return r
}

func TestDeliversInTimeAndOrder(t *testing.T) {
	n := New(1, 3, Link{Delay: time.Millisecond})
	r := record(n, 2)
	r.wake = Epoch.Add(1500 * time.Microsecond)
	buffer := []byte("a")
	n.Send(0, 2, buffer)
	buffer[0] = 'x' // the network has its own copy
	n.After(time.Millisecond, func() { n.Send(1, 2, []byte("b")) })
	n.Run(time.Second)
	want := []string{"1ms 0 a", "1.5ms tick", "2ms 1 b"}
	if !slices.Equal(r.seen, want) {
		t.Errorf("got %q, want %q", r.seen, want)
	}
	if at := n.Now().Sub(Epoch); at != time.Second {
		t.Errorf("it is %v, want 1s", at)
	}
}

func TestSameSeedSameRun(t *testing.T) {
	run := func(seed uint64) []string {
		n := New(seed, 2, Link{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: .3, Duplicate: .3, Reorder: .3, Late: time.Second})
		r := record(n, 1)
		for i := range 100 {
			n.Send(0, 1, fmt.Append(nil, i))
		}
		n.Run(time.Minute)
		return r.seen
	}
	if !slices.Equal(run(7), run(7)) {
		t.Error("two runs with seed 7 differ")
	}
	if slices.Equal(run(7), run(8)) {
		t.Error("seeds 7 and 8 give the same run")
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		name   string
		link   Link
		expect func(Counts) bool
	}{
		{"perfect", Link{}, func(c Counts) bool { return c.Delivered == 1000 }},
		{"loss", Link{Loss: .5}, func(c Counts) bool { return c.Delivered > 400 && c.Delivered < 600 && c.Lost == 1000-c.Delivered }},
		{"duplicates", Link{Duplicate: .1}, func(c Counts) bool { return c.Duplicated > 50 && c.Delivered == 1000+c.Duplicated }},
		{"down", Link{Down: true}, func(c Counts) bool { return c.Lost == 1000 }},
		{"queue", Link{Rate: 1000, Queue: 10}, func(c Counts) bool { return c.Delivered == 11 && c.Overrun == 989 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := New(3, 2, c.link)
			r := record(n, 1)
			for range 1000 {
				n.Send(0, 1, []byte("x"))
			}
			n.Run(time.Minute)
			got := n.LinkCounts(0, 1)
			if !c.expect(got) || got.Delivered != len(r.seen) || got.Sent != 1000 || got != n.Counts() {
				t.Errorf("%d arrived, counts %+v", len(r.seen), got)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	n := New(1, 2, Link{})
	n.Send(0, 1, []byte("x"))
	n.Run(time.Second)
	if c := n.Counts(); c.Lost != 1 {
		t.Errorf("counts %+v, want one lost", c)
	}
}

func TestStuckEndpointIsFound(t *testing.T) {
	n := New(1, 1, Link{})
	n.Attach(0, stuck{})
	defer func() {
		if recover() == nil {
			t.Error("an endpoint whose deadline never moves went unnoticed")
		}
	}()
	n.Run(time.Second)
}

type stuck struct{}

func (stuck) Receive(time.Time, int, []byte) {}
func (stuck) Deadline() time.Time            { return Epoch }
func (stuck) Tick(time.Time)                 {}
