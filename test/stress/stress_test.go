// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// transcript is what go test -json writes, with what is not read of it left out.
func transcript(lines ...string) *strings.Reader { return strings.NewReader(strings.Join(lines, "\n")) }

func TestReadOutcome(t *testing.T) {
	for _, test := range []struct {
		name   string
		events []string
		want   []failure
	}{
		{
			name:   "all is well",
			events: []string{`{"Action":"run","Test":"TestA"}`, `{"Action":"pass","Test":"TestA"}`, `{"Action":"pass"}`},
		},
		{
			name: "one has failed, and so has the package",
			events: []string{
				`{"Action":"output","Output":"-test.shuffle 17\n"}`,
				`{"Action":"output","Test":"TestA","Output":"=== RUN   TestA\n"}`,
				`{"Action":"output","Test":"TestA","Output":"    a_test.go:7: got 1\n"}`,
				`{"Action":"output","Test":"TestA","Output":"    a_test.go:8: got 2\n"}`,
				`{"Action":"output","Test":"TestA","Output":"--- FAIL: TestA (0.00s)\n"}`,
				`{"Action":"fail","Test":"TestA"}`, `{"Action":"fail"}`,
			},
			want: []failure{{"TestA", "a_test.go:7: got 1"}},
		},
		{
			name: "a subtest has, and another test whose name begins alike",
			events: []string{
				`{"Action":"output","Test":"TestA/x","Output":"    a_test.go:7: got 1\n"}`,
				`{"Action":"fail","Test":"TestA/x"}`, `{"Action":"fail","Test":"TestA"}`,
				`{"Action":"fail","Test":"TestAB"}`, `{"Action":"fail"}`,
			},
			want: []failure{{"TestA/x", "a_test.go:7: got 1"}, {"TestAB", "no reason given"}},
		},
		{
			name: "a panic counts for more than what was logged before",
			events: []string{
				`{"Action":"output","Test":"TestA","Output":"    a_test.go:7: begins\n"}`,
				`{"Action":"output","Test":"TestA","Output":"panic: nil map\n"}`,
				`{"Action":"fail","Test":"TestA"}`, `{"Action":"fail"}`,
			},
			want: []failure{{"TestA", "panic: nil map"}},
		},
		{
			name: "it does not build",
			events: []string{
				`{"Action":"build-output","Output":"# hafast/a\n"}`,
				`{"Action":"build-output","Output":"a.go:1:1: syntax error\n"}`,
				`{"Action":"build-fail"}`, `{"Action":"output","Output":"FAIL\thafast/a [build failed]\n"}`, `{"Action":"fail"}`,
			},
			want: []failure{{wholePackage, "a.go:1:1: syntax error"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := readOutcome(transcript(test.events...))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.failures, test.want) {
				t.Errorf("failures are %q, want %q", got.failures, test.want)
			}
		})
	}
	if _, err := readOutcome(transcript("go: no such tool")); err == nil {
		t.Error("what is no event was read")
	}
}

func TestTally(t *testing.T) {
	tally := newTally()
	tally.add("a", outcome{})
	if tally.failed() {
		t.Error("failed without a failure")
	}
	tally.add("a", outcome{failures: []failure{{"TestX", "first"}}})
	tally.add("b", outcome{failures: []failure{{wholePackage, "broken"}}})
	tally.add("a", outcome{failures: []failure{{"TestX", "second"}}})
	var out bytes.Buffer
	if err := tally.write(&out); err != nil {
		t.Fatal(err)
	}
	want := `
4 runs of 2 packages
package  test       failures  first line of the first
a        TestX      2 of 3    first
b        (package)  1 of 1    broken
`
	if got := out.String(); got != want || !tally.failed() {
		t.Errorf("the table is %s\nwant %s", got, want)
	}
}

// TestRun runs a package twice, one test of which fails.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	err := run(t.Context(), []string{"-n", "2", "-busy", "1", "-out", dir, "./testdata/some"}, &out)
	if !errors.Is(err, errFailures) {
		t.Errorf("err %v", err)
	}
	const pkg = "hafast/test/stress/testdata/some"
	if !strings.Contains(out.String(), pkg+"  TestFails/always  2 of 2    some_test.go:8: as it is meant to\n") ||
		strings.Contains(out.String(), "TestPasses") {
		t.Errorf("it says:\n%s", out.String())
	}
	kept, err := os.ReadFile(filepath.Join(dir, "hafast_test_stress_testdata_some.2.log"))
	if err != nil || !bytes.Contains(kept, []byte("-test.shuffle ")) {
		t.Errorf("what is kept of the second run: %q, %v", kept, err)
	}

	out.Reset()
	err = run(t.Context(), []string{"-n", "1", "-busy", "1", "-run", "Passes", "-out", dir, "./testdata/some"}, &out)
	if err != nil || !strings.Contains(out.String(), "1 runs of 1 packages\n") {
		t.Errorf("err %v; it says:\n%s", err, out.String())
	}
	for _, args := range [][]string{{"-n", "0"}, {"./nowhere"}, {"."}} {
		if args[0] == "." {
			t.Chdir("testdata") // there are no Go files
		}
		if err := run(t.Context(), args, &out); err == nil || errors.Is(err, errFailures) {
			t.Errorf("%v: err %v", args, err)
		}
	}
}
