// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"hafast/test/kernels/nics"
)

// needs matches the words by which a test says that a kernel is too old for it.
var needs = regexp.MustCompile(`needs Linux ([0-9]+\.[0-9]+)`)

// Fault is a reason why a kernel has not passed.
type Fault struct {
	Package, Test string
	Why           string
	Output        string
}

// Verdict is what a kernel's results amount to. Tests are counted with their subtests'
// outcome, but once each: by their top-level names.
type Verdict struct {
	Passed, Failed, Skipped int
	Faults                  []Fault
	// Excused are skips that are no fault, with their reasons.
	Excused []Fault
}

// Judge counts results. A test may skip what its kernel is too old for, and has to say
// so with "needs Linux X.Y"; a skip that says so on X.Y or later is a fault, or a
// feature that has broken would pass as one that is missing. So is a skip for want of a
// network (package nics) that the guest was given. Other skips are faults where strict is
// set.
func Judge(k Kernel, given []Network, results Results, strict bool) Verdict {
	var v Verdict
	judge := func(output string) (string, bool) { return judgeSkip(k, given, output, strict) }
	for _, p := range results.Packages {
		v.judgePackage(p, judge)
	}
	if !results.Done {
		v.Faults = append(v.Faults, Fault{Why: "the guest ended before its tests"})
	}
	return v
}

func (v *Verdict) judgePackage(p PackageResult, judgeSkip func(output string) (why string, excused bool)) {
	faulty := false
	for _, t := range p.Tests {
		top := !strings.Contains(t.Name, "/")
		f := Fault{Package: p.Package, Test: t.Name, Output: t.Output}
		switch t.Outcome {
		case Passed:
			if top {
				v.Passed++
			}
			continue
		case Failed, Unfinished:
			f.Why = map[Outcome]string{Failed: "failed", Unfinished: "did not end"}[t.Outcome]
			if top {
				v.Failed++
			}
			faulty = true
			// A test whose subtest fails has nothing to add to what that one says.
			if !hasFailedChild(p.Tests, t.Name) {
				v.Faults = append(v.Faults, f)
			}
			continue
		case Skipped:
		}
		if top {
			v.Skipped++
		}
		var excused bool
		if f.Why, excused = judgeSkip(t.Output); excused {
			v.Excused = append(v.Excused, f)
		} else {
			v.Faults = append(v.Faults, f)
		}
	}
	switch {
	case !p.Finished:
		v.Faults = append(v.Faults, Fault{Package: p.Package, Why: "the guest ended in it", Output: p.Output})
	case p.Exit != 0 && !faulty:
		v.Faults = append(v.Faults, Fault{Package: p.Package, Why: fmt.Sprintf("exit status %d", p.Exit), Output: p.Output})
	case len(p.Tests) == 0:
		v.Faults = append(v.Faults, Fault{Package: p.Package, Why: "no test ran", Output: p.Output})
	}
}

func hasFailedChild(tests []TestResult, name string) bool {
	for _, t := range tests {
		if strings.HasPrefix(t.Name, name+"/") && t.Outcome != Passed && t.Outcome != Skipped {
			return true
		}
	}
	return false
}

// judgeSkip says why a test was skipped, and whether that is all right.
func judgeSkip(k Kernel, given []Network, output string, strict bool) (why string, excused bool) {
	wanted := needs.FindStringSubmatch(output)
	network := nics.Needed(output)
	switch {
	case slices.ContainsFunc(given, func(n Network) bool { return n.Name == network && n.NICs > 0 }):
		return fmt.Sprintf("skipped: it needs the network %s, and the guest was given it", network), false
	case wanted == nil && strict:
		return "skipped, but not for the kernel's age", false
	case wanted == nil:
		return "skipped", true
	case compareVersions(k.Version(), wanted[1]) >= 0:
		return fmt.Sprintf("skipped: it needs Linux %s, and this is %s", wanted[1], k.Version()), false
	}
	return "needs Linux " + wanted[1], true
}
