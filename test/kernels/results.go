// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Outcome is how a test ended.
type Outcome string

const (
	Passed     Outcome = "pass"
	Failed     Outcome = "fail"
	Skipped    Outcome = "skip"
	Unfinished Outcome = "unfinished" // it began, and the guest or the binary ended
)

// TestResult is what became of a test or a subtest.
type TestResult struct {
	Name    string
	Outcome Outcome
	Output  string
}

// PackageResult is what became of a test binary.
type PackageResult struct {
	Package string
	Tests   []TestResult // in the order in which they began
	// Finished reports whether the binary ended, rather than the guest under it.
	Finished bool
	Exit     int
	Output   string // what belongs to no test, as of a binary that does not start
	Took     time.Duration
}

// Results are what a guest sent.
type Results struct {
	Release  string
	Packages []PackageResult
	// Done reports whether the guest got to the end of its list.
	Done bool
}

const mark = "@kernels "

// ReadResults reads what a guest sends until it ends. Each package is
// passed to done as soon as it is complete.
func ReadResults(ctx context.Context, r io.Reader, done func(PackageResult)) (Results, error) {
	var (
		res     Results
		current *PackageResult
		output  bytes.Buffer
		began   time.Time
	)
	finish := func() error {
		if current == nil {
			return nil
		}
		current.Took = time.Since(began)
		if err := current.decode(ctx, &output); err != nil {
			return err
		}
		done(*current)
		res.Packages = append(res.Packages, *current)
		current = nil
		return nil
	}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return res, err
		}
		// A test that ends in the middle of a line leaves the mark behind its output.
		before, words, marked := cutMark(line)
		output.WriteString(before)
		if marked {
			switch fields := strings.Fields(words); {
			case len(fields) == 2 && fields[0] == "release":
				res.Release = fields[1]
			case len(fields) == 2 && fields[0] == "begin":
				current, began = &PackageResult{Package: fields[1]}, time.Now()
				output.Reset()
			case len(fields) == 3 && fields[0] == "end" && current != nil:
				current.Finished = true
				if current.Exit, err = strconv.Atoi(fields[2]); err != nil {
					return res, fmt.Errorf("exit status of %s: %w", fields[1], err)
				}
				if err := finish(); err != nil {
					return res, err
				}
			case len(fields) == 1 && fields[0] == "done":
				res.Done = true
			default:
				return res, fmt.Errorf("unexpected line from the guest: %q", line)
			}
		}
		if errors.Is(err, io.EOF) {
			return res, finish()
		}
	}
}

func cutMark(line string) (before, words string, marked bool) {
	i := strings.Index(line, mark)
	if i < 0 || !strings.HasSuffix(line, "\n") {
		return line, "", false
	}
	return line[:i], line[i+len(mark):], true
}

// event is a line of test2json that is of use here.
type event struct {
	Action, Test, Output string
}

// decode turns what a test binary printed into results, by way of Go's own decoder.
func (p *PackageResult) decode(ctx context.Context, printed io.Reader) error {
	var decoded, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "tool", "test2json")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = printed, &decoded, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("decode the output of %s: %w\n%s", p.Package, err, tail(stderr.String()))
	}
	index := make(map[string]int)
	for dec := json.NewDecoder(&decoded); ; {
		var e event
		switch err := dec.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("decode the output of %s: %w", p.Package, err)
		case e.Test == "":
			p.Output += e.Output
			continue
		}
		i, known := index[e.Test]
		if !known {
			i = len(p.Tests)
			index[e.Test] = i
			p.Tests = append(p.Tests, TestResult{Name: e.Test, Outcome: Unfinished})
		}
		switch e.Action {
		case "output":
			p.Tests[i].Output += e.Output
		case "pass", "fail", "skip":
			p.Tests[i].Outcome = Outcome(e.Action)
		}
	}
}
