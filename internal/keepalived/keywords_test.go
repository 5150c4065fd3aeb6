// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// frame is a configuration without warnings, with a place in each block that a
// line of testdata/keywords.txt may go to.
const frame = `
%[1]s
global_defs {
%[2]s
}
vrrp_script s {
script "/bin/true"
%[3]s
}
track_file f {
file /tmp/f
%[4]s
}
vrrp_track_process p {
process proc
%[5]s
}
vrrp_instance A {
interface eth0
virtual_router_id 1
priority 90
virtual_ipaddress {
10.0.0.1
}
track_script {
s
}
track_file {
f weight 1
}
track_process {
p weight 1
}
%[6]s
}
vrrp_instance M1 {
interface eth0
virtual_router_id 11
priority 90
virtual_ipaddress {
10.0.1.1
}
}
vrrp_instance M2 {
interface eth0
virtual_router_id 12
priority 90
virtual_ipaddress {
10.0.1.2
}
}
vrrp_sync_group MEMBERS {
group {
M1
M2
}
%[7]s
}
`

var blocks = []string{"top", "global", "script", "file", "process", "instance", "group"}

// framed puts a line into the frame.
func framed(context, line string) string {
	switch context {
	case "Sync", "General":
		return context + " {\n" + line + "\n}\n"
	case "conntrackd":
		return "Sync {\n}\n" + line + "\n"
	}
	places := make([]any, len(blocks))
	for i, b := range blocks {
		places[i] = ""
		if b == context {
			places[i] = line
		}
	}
	text := fmt.Sprintf(frame, places...)
	if context == "file" {
		// The weight of the definition shows only without one at the reference.
		text = strings.Replace(text, "f weight 1", "f", 1)
	}
	if context == "process" {
		text = strings.Replace(text, "p weight 1", "p", 1)
	}
	return text
}

// TestNoKeywordIsSilent: every keyword leaves a trace, in the YAML or as a warning.
func TestNoKeywordIsSilent(t *testing.T) {
	data, err := os.ReadFile("testdata/keywords.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for row := range strings.SplitSeq(string(data), "\n") {
		context, line, ok := strings.Cut(row, ": ")
		if !ok || strings.HasPrefix(row, "#") {
			continue
		}
		seen++
		t.Run(row, func(t *testing.T) {
			line, silent := strings.CutSuffix(line, " = default")
			before, err := importFrom(memory{"k": framed(context, "")}, []string{"k"})
			if err != nil {
				t.Fatal(err)
			}
			after, err := importFrom(memory{"k": framed(context, line)}, []string{"k"})
			if err != nil {
				t.Fatal(err)
			}
			changed := string(before.YAML) != string(after.YAML)
			if !silent && !changed {
				t.Errorf("nothing is said of %q", line)
			}
			if silent && len(after.Warnings) > len(before.Warnings) {
				t.Errorf("a default is warned of: %v", after.Warnings)
			}
			for _, w := range after.Warnings {
				if strings.Contains(w.Text, "unknown keyword") {
					t.Errorf("the manual knows it: %s", w)
				}
			}
		})
	}
	if seen < 300 {
		t.Errorf("the list has %d keywords only", seen)
	}
}

// TestUnknownKeywords: what nobody knows is named in a warning, in every block.
func TestUnknownKeywords(t *testing.T) {
	for _, context := range append([]string{"Sync", "General"}, blocks...) {
		t.Run(context, func(t *testing.T) {
			text := framed(context, "frobnicate on {\n x\n}")
			got, err := importFrom(memory{"k": text}, []string{"k"})
			if err != nil {
				t.Fatal(err)
			}
			wantLine := 1 + strings.Count(text[:strings.Index(text, "frobnicate")], "\n")
			for _, w := range got.Warnings {
				if strings.Contains(w.Text, "frobnicate") && strings.Contains(w.Text, "unknown keyword") && w.Line == wantLine {
					return
				}
			}
			t.Errorf("no warning on line %d: %v", wantLine, got.Warnings)
		})
	}
}
