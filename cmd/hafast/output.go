// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// write writes text; a full disk or a closed pipe is a failure of the command.
func write(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return outputError(err)
}

func outputError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write output: %w", err)
}

// writeJSON writes v indented, for people who read it after all.
func writeJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	return write(w, string(text)+"\n")
}

// writeJSONLine writes v in one line, for streams.
func writeJSONLine(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	return write(w, string(text)+"\n")
}

// jsonArray writes one JSON document with an element on each line, for jq and for
// grep, while the elements come.
type jsonArray struct {
	out *bufio.Writer
	any bool
}

func newJSONArray(w io.Writer) *jsonArray { return &jsonArray{out: bufio.NewWriter(w)} }

func (a *jsonArray) add(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	before := ",\n"
	if !a.any {
		before = "[\n"
	}
	a.any = true
	_, err = a.out.WriteString(before + string(text))
	return outputError(err)
}

// end closes the array; without it the document is visibly incomplete.
func (a *jsonArray) end() error {
	last := "\n]\n"
	if !a.any {
		last = "[]\n"
	}
	if _, err := a.out.WriteString(last); err != nil {
		return outputError(err)
	}
	return a.flush()
}

func (a *jsonArray) flush() error { return outputError(a.out.Flush()) }

// isTerminal reports whether w is a terminal, on which a picture can be redrawn.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// age is a duration in its two greatest units: 12s, 3m20s, 2h3m, 3d4h.
func age(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	}
}

// microseconds is a phase's duration: 85us, 1.2ms, 3.61s.
func microseconds(us float64) string {
	switch {
	case us < 999.5:
		return fmt.Sprintf("%.0fus", math.Round(us))
	case us < 999_950:
		return fmt.Sprintf("%.1fms", us/1e3)
	default:
		return fmt.Sprintf("%.2fs", us/1e6)
	}
}
