// SPDX-License-Identifier: Apache-2.0

package cost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("HAFAST_REQUIRE_NETNS") == "1" {
		t.Fatal("HAFAST_REQUIRE_NETNS=1, but this is not root")
	}
	t.Skip("loading XDP programs needs root")
}

// TestMeasure measures everything, if hardly (a run of several packets takes the kernel a
// grace period more): packets of every case go the way that the
// case is about, or measuring fails.
func TestMeasure(t *testing.T) {
	needRoot(t)
	r := new(Report)
	seen := 0
	o := Options{Rounds: 1, Packets: 1, Many: 3000, Some: 1000, Progress: func(Cost) { seen++ }}
	if err := Measure(t.Context(), o, r); err != nil {
		t.Fatal(err)
	}
	if want := len(r.Costs) + len(r.Crowded); seen != want || seen == 0 {
		t.Errorf("%d cases, told of %d", want, seen)
	}
	for _, f := range r.Floods {
		if f.Segment == "SYN" && (f.Silent == 0 || f.Busy != floodBusy || f.SilentKept != f.Silent || f.BusyKept != f.Busy) {
			t.Errorf("SYNs have changed flows: %+v", f)
		}
	}
	for _, m := range r.Memory {
		if each := m.Tables["tcp4"] / uint64(m.Flows); each < 24 || each > 1000 {
			t.Errorf("a flow takes %d bytes: %+v", each, m)
		}
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	docs := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(docs, []byte("<!-- xdp:begin -->\n<!-- xdp:end -->\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteDocs(docs); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds() {
		if !strings.Contains(b.String(), k.name) || !strings.Contains(string(text), k.name) {
			t.Errorf("nothing about %q in the report", k.name)
		}
	}
}

func TestAbove(t *testing.T) {
	// The second round was slow as a whole: its difference counts as any other.
	s := above(Runs{90, 190, 95}, Runs{30, 130, 31})
	if s.Median != 60 || s.Min != 60 {
		t.Errorf("median %v, minimum %v, want 60 and 60", s.Median, s.Min)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{1: "1", 999: "999", 1500: "1500", 100_000: "100 k", 1_000_000: "1 M", 2_500_000: "2.5 M"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}
