// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"errors"
	"maps"
	"strings"

	"hafast/internal/config"
)

// NoInstanceError is a keepalived.conf that asks for no VRRP.
type NoInstanceError struct {
	// File is the first file.
	File string
	// LVS is set if it has virtual servers.
	LVS bool
}

// Error says what is missing, and what else the file is for.
func (e *NoInstanceError) Error() string {
	text := e.File + ": no vrrp_instance: there is no VIP here that hafast could carry, so nothing is written"
	if e.LVS {
		text += "; its virtual_server blocks are LVS, which hafast does not do: haproxy takes their place"
	}
	return text
}

// start stands for the input as a whole.
func (t *translator) start() place { return place{t.doc.sources[0], 1} }

// incomplete warns of a line that hafast.yaml cannot load with.
func (t *translator) incomplete(at place, to *notes, format string, args ...any) {
	t.warn(at, to, format, args...)
	t.unfinished[at] = true
}

// emit writes the document, with a warning for each line of the input that
// hafast.yaml would not load with: a file that import is silent about loads.
func (t *translator) emit() ([]byte, error) {
	if len(t.doc.instances) == 0 {
		if t.doc.keepalived {
			return nil, t.noInstance()
		}
		t.incomplete(t.start(), &t.doc.notes, "conntrackd.conf has the sync section alone: name keepalived.conf too, or put the section into a whole hafast.yaml")
	}
	data, origins := emit(t.doc)
	if t.loads(data, origins) {
		return data, nil
	}
	t.settleNotes()
	data, _ = emit(t.doc)
	return data, nil
}

func (t *translator) noInstance() error {
	e := &NoInstanceError{File: t.doc.sources[0]}
	for _, n := range t.blocks {
		e.LVS = e.LVS || strings.HasPrefix(n.keyword, "virtual_server")
	}
	return e
}

// loads reads what was written as the daemon will, and warns of what it refuses
// where no warning says so yet.
func (t *translator) loads(data []byte, origins []place) bool {
	_, err := config.Parse("hafast.yaml", data)
	var problems config.Errors
	if !errors.As(err, &problems) {
		return true
	}
	said := maps.Clone(t.unfinished)
	for _, p := range problems {
		at := t.start()
		if i := p.Line - 1; i >= 0 && i < len(origins) && origins[i].line > 0 {
			at = origins[i]
		}
		if !said[at] {
			// The line it names would be one of a file that changes yet.
			text, _, _ := strings.Cut(p.Text, ", first on line ")
			t.incomplete(at, &t.doc.notes, "hafast.yaml does not load with what this becomes: %s; %s", text, p.Mend)
		}
	}
	return false
}
