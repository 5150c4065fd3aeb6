// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"testing"
	"time"

	"hafast/test/kernels"
)

func TestParse(t *testing.T) {
	o, err := parse([]string{"-kernels", "6.12,newest", "-package", "./internal/link,pkg/loader/", "-run", "TestX", "-timeout", "25m"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Series) != 2 || o.Series[1].Name != kernels.Newest || !o.Full || o.Strict {
		t.Errorf("got %+v", o)
	}
	for i, want := range []string{"internal/link", "pkg/loader"} {
		if got := o.Payload.Tests[i]; got.Package != want || got.Run != "TestX" || got.Timeout != 25*time.Minute {
			t.Errorf("got %+v, want package %s for 25m", got, want)
		}
	}
	// A network of the pair has an interface for each host and for the client.
	for _, n := range o.Networks {
		if want := map[bool]int{false: 4, true: 3}[n.Bridge]; n.NICs != want {
			t.Errorf("network %s has %d interfaces, want %d", n.Name, n.NICs, want)
		}
	}
	if len(o.Networks) != 4 || o.Networks[0].Name != "hub" {
		t.Errorf("networks %+v", o.Networks)
	}
	if o, err = parse([]string{"-smoke", "-nics", "2"}, io.Discard); err != nil || o.Full || !o.Strict || len(o.Series) != 2 || len(o.Networks) != 1 || o.Networks[0].NICs != 2 {
		t.Errorf("smoke: got %+v, %v", o, err)
	}
	for _, args := range [][]string{{"-kernels", "1.2"}, {"stray"}, {"-mirror", "http://archive.example"}, {"-nonsense"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	if _, err := parse([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestExitCode(t *testing.T) {
	passed := kernels.Report{Series: "6.1"}
	faulty := kernels.Report{Series: "6.1", Verdict: kernels.Verdict{Faults: make([]kernels.Fault, 1)}}
	for _, c := range []struct {
		name    string
		reports []kernels.Report
		want    int
	}{
		{"passed", []kernels.Report{passed}, exitPassed},
		{"not served", []kernels.Report{passed, {Err: kernels.ErrNotServed}}, exitPassed},
		{"none served", []kernels.Report{{Err: kernels.ErrNotServed}}, exitNotTried},
		{"faults", []kernels.Report{faulty, passed}, exitFailed},
		{"out of time", []kernels.Report{{Err: fmt.Errorf("guest: %w", kernels.ErrTimeout)}}, exitFailed},
		{"no network", []kernels.Report{faulty, {Err: errors.New("no network")}}, exitNotTried},
	} {
		if got := exitCode(c.reports); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
