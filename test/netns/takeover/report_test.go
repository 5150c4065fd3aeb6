// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hafast/test/netns/figures"
)

func sampleResults() []Result {
	ok := func(fault Fault, system string, outage float64, failed, survivors, responders int) Result {
		return Result{
			System: system, Fault: fault, Round: 1, OutageMS: outage, Recovered: true, AsExpected: true,
			Failed: failed, Attempts: 1000, Held: 100, Survivors: survivors, Responders: responders,
			HeldOnSurvivor: 50, SurvivorsOnSurvivor: survivors / 2,
		}
	}
	return []Result{
		ok(Drain, "one", 0, 0, 100, 1),
		{System: "two", Fault: Drain, NotApplicable: true},
		ok(HostDeath, "one", 33, 34, 0, 1),
		ok(HostDeath, "two", 3166.4, 3160, 0, 1),
		ok(HostDeath, "one", 31, 30, 2, 2),
		{System: "two", Fault: HostDeath, OutageMS: 15000, Held: 100, Failed: 15000, Attempts: 15000},
		ok(StandbyDeath, "one", 1, 1, 100, 1),
		{System: "two", Fault: StandbyDeath, Recovered: true, Held: 100, Survivors: 100},
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := NewTable(Rows(sampleResults())).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `
fault          system  outage median  p90       max                 failed attempts  held survive  on the other host  answer for the VIP
host-death     one     32.0 ms        32.8 ms   33.0 ms             30-34            0-2 / 100     1 / 100            1-2
               two     9083 ms        13817 ms  1 of 2 never ended  3160-15000       0 / 100       0 / 50             0-1 (1 of 2 not taken over)

drain          one     0 ms           0 ms      0 ms                0                100 / 100     50 / 50            1
               two     n/a

standby-death  one     1.0 ms         1.0 ms    1.0 ms              1                100 / 100     50 / 50            1
               two     0 ms           0 ms      0 ms                0                100 / 100     0 / 0              0 (1 of 1 not where it was)
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestMarkdownHasOneLinePerRow(t *testing.T) {
	var b bytes.Buffer
	rows := Rows(sampleResults())
	if err := NewTable(rows).WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != len(rows)+2 {
		t.Fatalf("%d lines for %d rows", len(lines), len(rows))
	}
	for _, line := range lines {
		if n := strings.Count(line, "|"); n != len(header())+1 {
			t.Errorf("%d bars in %q", n, line)
		}
	}
}

func TestReportRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "takeover.json")
	want := &Report{
		Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Command: "bench", Rounds: 2,
		Machine: figures.Machine{Kernel: "6.1", CPUs: 2}, Results: sampleResults(), Errors: []string{"x"},
	}
	if err := figures.WriteJSON(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := figures.ReadJSON[Report](path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWriteDocsReplacesItsSectionOnly(t *testing.T) {
	report := &Report{Date: time.Now(), Command: "bench takeover", Rounds: 2, Results: sampleResults()}
	path := filepath.Join(t.TempDir(), "BENCHMARKS.md")

	if err := report.WriteDocs(path, "takeover.svg"); err != nil {
		t.Fatalf("a new file: %v", err)
	}
	const beginMarker, endMarker = "<!-- takeover:begin -->", "<!-- takeover:end -->"
	before := "# Mine\n\n" + beginMarker + "\nold figures\n" + endMarker + "\n\nand the rest\n"
	if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := report.WriteDocs(path, "takeover.svg"); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if !strings.HasPrefix(text, "# Mine\n\n"+beginMarker) || !strings.HasSuffix(text, endMarker+"\n\nand the rest\n") {
		t.Errorf("the surroundings changed:\n%s", text)
	}
	if strings.Contains(text, "old figures") || strings.Count(text, "## Takeover") != 1 {
		t.Errorf("the section was not replaced:\n%s", text)
	}
	for _, want := range []string{"| host-death | one | 32.0 ms |", "`bench takeover`", "](takeover.svg)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}

	if err := os.WriteFile(path, []byte("# No place\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := report.WriteDocs(path, ""); !errors.Is(err, figures.ErrNoMarkers) {
		t.Errorf("without markers: %v", err)
	}
}

func TestPictureIsSVGWithEverySystemAndFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "takeover.svg")
	if err := WritePicture(path, sampleResults()); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var texts strings.Builder
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if chars, ok := token.(xml.CharData); ok {
			texts.Write(chars)
			texts.WriteByte('\n')
		}
	}
	for _, want := range []string{"one", "two", "n/a", "32.0", "host-death", "link-down", "drain"} {
		if !strings.Contains(texts.String(), "\n"+want+"\n") {
			t.Errorf("%q is not in the picture", want)
		}
	}
}
