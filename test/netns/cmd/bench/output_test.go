// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/soak"
	"hafast/test/netns/takeover"
)

func TestCommand(t *testing.T) {
	const own = "go run ./test/netns/cmd/bench trial "
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"the make target", nil, "make bench-trial"},
		{"only the output is another", []string{"-write-docs", "-out", "x", "-docs=y", "-from", "z"}, "make bench-trial"},
		{"another run", []string{"-what", "less"}, own + "-what less"},
		{"another run, for the document", []string{"-write-docs", "-what=less"}, own + "-write-docs -what=less"},
		{"a space", []string{"-what", "much less"}, own + "-what 'much less'"},
		{"nothing", []string{"-what", ""}, own + "-what ''"},
		{"what a shell would act on", []string{"-what=$(less);*"}, own + "'-what=$(less);*'"},
		{"a quote", []string{"-what", "it's"}, own + `-what 'it'\''s'`},
		{"times, lists, paths", []string{"-what", "1.5s,-2,a_b/c:d@e+10%"}, own + "-what 1.5s,-2,a_b/c:d@e+10%"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fs, o := newOutput("trial")
			fs.String("what", "all", "")
			if err := o.parse(fs, tt.args); err != nil {
				t.Fatal(err)
			}
			if o.command != tt.want {
				t.Errorf("command %s, want %s", o.command, tt.want)
			}
		})
	}
}

// trial is a report that is as good as any.
func trial() *soak.Report {
	return &soak.Report{Command: "make bench-trial", Results: []soak.Result{{Host: "first"}}}
}

func TestDeliver(t *testing.T) {
	failed := errors.New("3 cases could not be measured")
	tests := []struct {
		name      string
		report    *soak.Report
		err       error
		delivered bool
	}{
		{"a whole run", trial(), nil, true},
		{"a whole run with failures", trial(), failed, true},
		{"an interrupted run", nil, failed, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			_, o := newOutput("trial")
			o.dir, o.docs, o.writeDocs = filepath.Join(dir, "out"), filepath.Join(dir, "doc.md"), true
			var text strings.Builder
			err := deliver(o,
				func() (*soak.Report, error) { return tt.report, tt.err },
				func(r *soak.Report) error { return o.publish(r, &text) })
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if got := strings.Contains(text.String(), "first"); got != tt.delivered {
				t.Errorf("shown: %t, want %t: %q", got, tt.delivered, &text)
			}
			for _, path := range []string{filepath.Join(o.dir, "trial.json"), o.docs} {
				if _, err := os.Stat(path); (err == nil) != tt.delivered {
					t.Errorf("%s is there: %t, want %t (%v)", filepath.Base(path), err == nil, tt.delivered, err)
				}
			}
		})
	}
}

func TestFromMeasuresNothing(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "earlier.json")
	if err := figures.WriteJSON(from, trial()); err != nil {
		t.Fatal(err)
	}
	_, o := newOutput("trial")
	o.dir, o.from = filepath.Join(dir, "out"), from
	measure := func() (*soak.Report, error) {
		t.Error("measured")
		return nil, nil
	}
	var text strings.Builder
	publish := func(r *soak.Report) error { return o.publish(r, &text) }
	if err := deliver(o, measure, publish); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "first") {
		t.Errorf("shown: %q", &text)
	}
	if _, err := os.Stat(o.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("wrote figures that it had not measured (%v)", err)
	}
	o.from = filepath.Join(dir, "none.json")
	if err := deliver(o, measure, publish); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a report that is not there: %v", err)
	}
}

// Every subcommand publishes an earlier report, here an empty one.
func TestEverySubcommandHasFrom(t *testing.T) {
	for _, name := range []string{"takeover", "scale", "xdp", "path", "share", "sync", "flowsync", "soak"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from, docs := filepath.Join(dir, "earlier.json"), filepath.Join(dir, "doc.md")
			if err := figures.WriteJSON(from, struct{}{}); err != nil {
				t.Fatal(err)
			}
			// The document has a place for this section only.
			if err := figures.WriteSection(docs, name, ""); err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			args := []string{name, "-from", from, "-out", dir, "-write-docs", "-docs", docs}
			if err := run(t.Context(), args, &text); err != nil {
				t.Fatal(err)
			}
			document, err := os.ReadFile(docs)
			if err != nil || !strings.Contains(string(document), "To reproduce:") {
				t.Errorf("document %q, %v", document, err)
			}
			if !strings.Contains(text.String(), "updated: "+docs) {
				t.Errorf("shown: %q", &text)
			}
		})
	}
}

// The picture goes with the figures, and with the document if that is written.
func TestPicture(t *testing.T) {
	for _, writeDocs := range []bool{false, true} {
		dir := t.TempDir()
		figuresDir, docsDir := filepath.Join(dir, "out"), filepath.Join(dir, "docs")
		if err := os.Mkdir(docsDir, 0o755); err != nil {
			t.Fatal(err)
		}
		_, o := newOutput("takeover")
		o.dir, o.docs, o.writeDocs = figuresDir, filepath.Join(docsDir, "doc.md"), writeDocs
		var text strings.Builder
		r := &takeover.Report{Date: time.Now(), Results: []takeover.Result{{System: "one", Fault: takeover.Drain, OutageMS: 7}}}
		if err := o.publish(illustrated{r, o.dir, &text}, &text); err != nil {
			t.Fatal(err)
		}
		want := []string{filepath.Join(figuresDir, pictureName)}
		if writeDocs {
			want = append(want, filepath.Join(docsDir, pictureName))
		}
		got, err := filepath.Glob(filepath.Join(dir, "*", pictureName))
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("document %t: pictures %v, want %v (%v)", writeDocs, got, want, err)
		}
		for _, path := range want {
			if !strings.Contains(text.String(), "picture: "+path+"\n") {
				t.Errorf("document %t: %s is not named in %q", writeDocs, path, &text)
			}
		}
	}
}
