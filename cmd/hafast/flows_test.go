// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hafast/internal/control"
)

// flowsOf yields n flows and then err, if there is one.
func flowsOf(n int, client func(int) string, err error) iter.Seq2[control.Flow, error] {
	return func(yield func(control.Flow, error) bool) {
		for i := range n {
			if !yield(control.Flow{Proto: "tcp", Client: client(i), VIP: "10.0.0.1:443", Target: "haa"}, nil) {
				return
			}
		}
		if err != nil {
			yield(control.Flow{}, err)
		}
	}
}

func short(int) string { return "192.0.2.7:1" }

// The first rows decide about the columns; later ones come as they are.
func TestFlowTableStreams(t *testing.T) {
	const n = 2 * streamSample
	client := func(i int) string {
		if i == n-1 {
			return "[2001:db8:1:2:3:4:5:6]:65535"
		}
		return short(i)
	}
	var out strings.Builder
	if err := writeFlowTable(&out, flowsOf(n, client, nil)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 1+n {
		t.Fatalf("%d lines, want %d", len(lines), 1+n)
	}
	for i, want := range map[int]string{
		0:     "PROTO  CLIENT       VIP           TARGET  ADDRESS  STATE  IDLE",
		1:     "tcp    192.0.2.7:1  10.0.0.1:443  haa     -        open   0.0s",
		n - 1: "tcp    192.0.2.7:1  10.0.0.1:443  haa     -        open   0.0s",
		n:     "tcp    [2001:db8:1:2:3:4:5:6]:65535  10.0.0.1:443  haa     -        open   0.0s",
	} {
		if diff := cmp.Diff(want, lines[i]); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i, diff)
		}
	}
}

// What came before a failure is shown, and the failure is the error.
func TestFlowsShowWhatCameBeforeFailure(t *testing.T) {
	failure := errors.New("the daemon has gone")
	for _, n := range []int{3, 2 * streamSample} {
		var table, array strings.Builder
		if err := writeFlowTable(&table, flowsOf(n, short, failure)); !errors.Is(err, failure) {
			t.Errorf("the table of %d ends with %v", n, err)
		}
		if err := writeFlowArray(&array, flowsOf(n, short, failure)); !errors.Is(err, failure) {
			t.Errorf("the array of %d ends with %v", n, err)
		}
		if got := strings.Count(table.String(), "\n"); got != 1+n {
			t.Errorf("the table of %d has %d lines", n, got)
		}
		if got := strings.Count(array.String(), `"proto"`); got != n || strings.Contains(array.String(), "]") {
			t.Errorf("the array of %d has %d flows, or an end", n, got)
		}
	}
}

// deaf takes a few bytes and then no more, like a full disk.
type deaf struct{ room int }

func (d *deaf) Write(p []byte) (int, error) {
	n := min(d.room, len(p))
	d.room -= n
	if n < len(p) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

// A list that cannot be written ends, however long it would have been.
func TestFlowsEndWhenNobodyTakesThem(t *testing.T) {
	for name, show := range map[string]func(*deaf, iter.Seq2[control.Flow, error]) error{
		"table": func(d *deaf, flows iter.Seq2[control.Flow, error]) error { return writeFlowTable(d, flows) },
		"array": func(d *deaf, flows iter.Seq2[control.Flow, error]) error { return writeFlowArray(d, flows) },
	} {
		read := 0
		counted := func(i int) string { read = i; return short(i) }
		err := show(&deaf{room: 10_000}, flowsOf(1_000_000, counted, nil))
		if err == nil || !strings.Contains(err.Error(), "write output: no space left") {
			t.Errorf("%s: %v", name, err)
		}
		if read > 10_000 {
			t.Errorf("%s: %d flows were read after the output was full", name, read)
		}
	}
}

func TestIdle(t *testing.T) {
	for seconds, want := range map[float64]string{
		-1: "0.0s", 0: "0.0s", 0.04: "0.0s", 0.25: "0.2s", 9.99: "9.9s", 10: "10s", 200: "3m20s",
	} {
		if got := idle(seconds); got != want {
			t.Errorf("idle(%v) = %s, want %s", seconds, got, want)
		}
	}
}

func TestLeftText(t *testing.T) {
	for want, n := range map[string]*int{
		"":                                    nil,
		"no connection is left here\n":        new(0),
		"1 connection is still open here\n":   new(1),
		"2 connections are still open here\n": new(2),
	} {
		if got := leftText(n); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
