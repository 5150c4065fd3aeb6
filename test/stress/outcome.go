// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// wholePackage stands for the test where a package has failed and none of its tests: it
// does not build, or ended before its time.
const wholePackage = "(package)"

// outcome is what came of one run of a package.
type outcome struct {
	failures []failure // in the order in which they were reported
	output   []byte
}

// failure is a test that has failed, with the first line that says why.
type failure struct{ test, line string }

// event is a line of go test -json (go doc test2json).
type event struct {
	Action, Test, Output string
}

// readOutcome reads the events of one package. A test is left out that has failed because
// one of its subtests has.
func readOutcome(r io.Reader) (o outcome, err error) {
	lines := map[string][]string{} // by test; "" is the package
	var failed []string
	for dec := json.NewDecoder(r); ; {
		var ev event
		err := dec.Decode(&ev)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return o, fmt.Errorf("read what go test says: %w", err)
		}
		switch ev.Action {
		case "output", "build-output":
			lines[ev.Test] = append(lines[ev.Test], ev.Output)
			o.output = append(o.output, ev.Output...)
		case "fail":
			failed = append(failed, ev.Test)
		}
	}
	for _, test := range failed {
		inside := func(other string) bool {
			return other != test && (test == "" || strings.HasPrefix(other, test+"/"))
		}
		if slices.ContainsFunc(failed, inside) {
			continue
		}
		f := failure{test: test, line: reason(lines[test])}
		if test == "" {
			f.test = wholePackage
		}
		o.failures = append(o.failures, f)
	}
	return o, nil
}

// marks begin lines that say where a test stands, and not why it failed.
var marks = []string{"===", "--- ", "FAIL", "PASS", "exit status", "-test.shuffle", "# "}

// reason is the first line of a test's output that says why it failed: that of a panic or
// a data race, or else the first one that is no mark.
func reason(lines []string) string {
	first := ""
	for _, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "), strings.HasPrefix(line, "WARNING: DATA RACE"):
			return line
		case line == "" || first != "" || slices.ContainsFunc(marks, func(mark string) bool { return strings.HasPrefix(line, mark) }):
		default:
			first = line
		}
	}
	if first == "" {
		return "no reason given"
	}
	return first
}
