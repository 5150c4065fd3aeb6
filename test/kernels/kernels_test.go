// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNewestImage(t *testing.T) {
	names := []string{
		"linux-image-6.1.0-9-cloud-amd64",
		"linux-image-6.1.0-57-cloud-amd64",
		"linux-image-6.1.0-57-cloud-amd64-unsigned",
		"linux-image-6.1.0-58-amd64", // for real hardware
		"linux-image-6.12.9+deb12-cloud-amd64",
		"linux-image-6.12.117+deb12-cloud-amd64",
		"linux-image-6.12.118+deb12-rt-amd64",
		"linux-image-7.3.4+deb13-cloud-amd64",
		"linux-image-7.3.5+deb13-cloud-amd64-dbg",
		"linux-image-cloud-amd64",
	}
	for _, c := range []struct{ series, want string }{
		{"5.10", ""},
		{"6.1", "linux-image-6.1.0-57-cloud-amd64"},
		{"6.12", "linux-image-6.12.117+deb12-cloud-amd64"},
		{Newest, "linux-image-7.3.4+deb13-cloud-amd64"},
	} {
		if got := (Series{Name: c.series}).newestImage(names); got != c.want {
			t.Errorf("%s: got %q, want %q", c.series, got, c.want)
		}
	}
}

func TestSeriesOf(t *testing.T) {
	for release, want := range map[string]string{
		"6.1.0-57-cloud-amd64":        "6.1",
		"6.12.117+deb12-cloud-amd64":  "6.12",
		"7.3.4+deb13-cloud-amd64":     Newest,
		"something-else":              "",
		"6.1.0-57-cloud-amd64-broken": "",
	} {
		if got := seriesOf(release); got != want {
			t.Errorf("%s is of %q, want %q", release, got, want)
		}
	}
}

func TestFindSeries(t *testing.T) {
	found, err := FindSeries([]string{"6.12", Newest})
	if err != nil || len(found) != 2 || found[0].Name != "6.12" || found[1].Name != Newest {
		t.Errorf("got %v, %v", found, err)
	}
	if _, err := FindSeries([]string{"2.4"}); err == nil || !strings.Contains(err.Error(), `"2.4"`) {
		t.Errorf("got %v", err)
	}
}

// port is what a guest sends, with the marks that test2json wants before lines of the
// testing package.
const port = "@kernels release 6.1.0-57-cloud-amd64\n" +
	"@kernels begin pkg/a\n" +
	"\x16=== RUN   TestGood\n\x16--- PASS: TestGood (0.01s)\n" +
	"\x16=== RUN   TestBad\n\x16=== RUN   TestBad/sub\n    bad_test.go:1: no\n" +
	"\x16--- FAIL: TestBad/sub (0.00s)\n\x16=== NAME  TestBad\n\x16--- FAIL: TestBad (0.00s)\n" +
	"\x16=== RUN   TestNew\n    new_test.go:9: needs Linux 6.15\n\x16--- SKIP: TestNew (0.00s)\n" +
	"\x16=== RUN   TestOld\n    old_test.go:9: needs Linux 5.8\n\x16--- SKIP: TestOld (0.00s)\n" +
	"\x16=== RUN   TestElse\n    else_test.go:9: no promtool\n\x16--- SKIP: TestElse (0.00s)\n" +
	"\x16=== RUN   TestNICs\n    nics_test.go:9: needs the network queues of a guest of test/kernels\n\x16--- SKIP: TestNICs (0.00s)\n" +
	"\x16FAIL\n" +
	"@kernels end pkg/a 1\n" +
	"@kernels begin pkg/b\n" +
	"not a test: @kernels end pkg/b 127\n"

func read(t *testing.T, text string) Results {
	t.Helper()
	res, err := ReadResults(t.Context(), strings.NewReader(text), func(PackageResult) {})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func judged(v Verdict) (faults, excused []string) {
	for _, f := range v.Faults {
		faults = append(faults, strings.TrimSpace(f.Package+" "+f.Test)+": "+f.Why)
	}
	for _, f := range v.Excused {
		excused = append(excused, f.Test+": "+f.Why)
	}
	return faults, excused
}

func TestJudge(t *testing.T) {
	k := Kernel{Series: "6.1", Release: "6.1.0-57-cloud-amd64"}
	bad := []string{
		"pkg/a TestBad/sub: failed",
		"pkg/a TestOld: skipped: it needs Linux 5.8, and this is 6.1.0",
	}
	broken := []string{"pkg/b: exit status 127"}
	for _, c := range []struct {
		name            string
		given           []Network
		strict          bool
		faults, excused []string
	}{
		{"full", []Network{{Name: "hub", NICs: 4}}, false, slices.Concat(bad, broken), []string{"TestNew: needs Linux 6.15", "TestElse: skipped", "TestNICs: skipped"}},
		{
			"full, with the network",
			[]Network{{Name: "queues", NICs: 3}},
			false,
			slices.Concat(bad, []string{"pkg/a TestNICs: skipped: it needs the network queues, and the guest was given it"}, broken),
			[]string{"TestNew: needs Linux 6.15", "TestElse: skipped"},
		},
		{
			"smoke", nil, true,
			slices.Concat(bad, []string{"pkg/a TestElse: skipped, but not for the kernel's age", "pkg/a TestNICs: skipped, but not for the kernel's age"}, broken),
			[]string{"TestNew: needs Linux 6.15"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(k, c.given, read(t, port+"@kernels done\n"), c.strict)
			faults, excused := judged(v)
			if d := cmp.Diff(c.faults, faults); d != "" {
				t.Error("faults (-want +got)\n", d)
			}
			if d := cmp.Diff(c.excused, excused); d != "" {
				t.Error("excused (-want +got)\n", d)
			}
			if v.Passed != 1 || v.Failed != 1 || v.Skipped != 4 {
				t.Errorf("%d passed, %d failed, %d skipped", v.Passed, v.Failed, v.Skipped)
			}
		})
	}
}

// TestGuestThatEnds is of one that panics in the middle of a test.
func TestGuestThatEnds(t *testing.T) {
	v := Judge(Kernel{Release: "6.1.0"}, nil, read(t, "@kernels begin pkg/a\n\x16=== RUN   TestPanic\nsome"), true)
	faults, _ := judged(v)
	want := []string{"pkg/a TestPanic: did not end", "pkg/a: the guest ended in it", ": the guest ended before its tests"}
	if d := cmp.Diff(want, faults); d != "" {
		t.Error("faults (-want +got)\n", d)
	}
}

func TestNonsenseFromTheGuest(t *testing.T) {
	_, err := ReadResults(t.Context(), strings.NewReader("@kernels what is this\n"), func(PackageResult) {})
	if err == nil {
		t.Error("taken")
	}
}

func TestTable(t *testing.T) {
	reports := []Report{
		{Series: "5.10", Err: ErrNotServed},
		{Series: "6.1", Release: "6.1.0-57", Results: read(t, port), Verdict: Verdict{Passed: 1, Failed: 2, Skipped: 3}},
		{Series: "6.12", Err: errors.New("fetch packages: no network\nand more")},
	}
	columns := []Column{
		{Title: "good", Package: "pkg/a", Test: "TestGood"},
		{Title: "bad", Package: "pkg/a", Test: "TestBad"},
		{Title: "never", Package: "pkg/a", Test: "TestNever"},
	}
	var got strings.Builder
	if err := WriteTable(&got, reports, columns); err != nil {
		t.Fatal(err)
	}
	want := `
kernel  release      good  bad  passed  failed  skipped  faults  time
5.10    not served   -     -    -       -       -        -       -
6.1     6.1.0-57     yes   NO   1       2       3        0       0s
6.12    did not run  -     -    -       -       -        -       -
`
	if d := cmp.Diff(want[1:], got.String()); d != "" {
		t.Error("(-want +got)\n", d)
	}
}
