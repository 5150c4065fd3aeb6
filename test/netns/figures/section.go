// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// ErrNoMarkers is returned for a document without a place for the section.
var ErrNoMarkers = errors.New("no markers for the section")

// markers are the lines that the section of that name stands between.
func markers(name string) (begin, end string) {
	return "<!-- " + name + ":begin -->", "<!-- " + name + ":end -->"
}

// Origin is the last paragraph of a section: when and where it was measured, and by
// which command it is measured again.
func Origin(date time.Time, m Machine, command string) string {
	return fmt.Sprintf("\nMeasured %s on %s.\n\nTo reproduce: `%s`\n", date.Format(time.DateOnly), m, command)
}

// WriteSection replaces what stands between the markers of that name in the
// Markdown file at path. A file that does not exist is made.
func WriteSection(path, name, text string) error {
	begin, end := markers(name)
	old, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		old, err = []byte("# Benchmarks\n\n"+begin+"\n"+end+"\n"), nil
	}
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), begin)
	if !ok {
		return fmt.Errorf("%s: %w: add a line %s", path, ErrNoMarkers, begin)
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return fmt.Errorf("%s: %w: add a line %s", path, ErrNoMarkers, end)
	}
	return os.WriteFile(path, []byte(before+begin+"\n"+text+end+after), 0o644)
}
