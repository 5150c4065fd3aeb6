// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/takeover"
)

const (
	// plainInterval is the pause between live lines where they cannot be
	// overwritten; changes are shown at once.
	plainInterval = time.Second
	// clearLine moves to the start of a terminal's line and empties it.
	clearLine = "\r\x1b[K"
)

// screen shows a case in progress: in one line that is written over and over
// on a terminal, line by line elsewhere.
type screen struct {
	out      *os.File
	terminal bool
	// open is set while a live line has no end yet.
	open bool

	// The view shown last, for the rate and for telling changes.
	shownAt   time.Time
	shown     takeover.View
	rate      float64
	countedAt time.Time
	counted   int
}

func newScreen(out *os.File) *screen {
	_, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS)
	return &screen{out: out, terminal: err == nil}
}

// print writes a line of its own.
func (s *screen) print(format string, args ...any) {
	s.endLine()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// endLine ends a live line, if there is one.
func (s *screen) endLine() {
	if s.open {
		fmt.Fprintln(s.out)
		s.open = false
	}
}

// view shows what the client sees.
func (s *screen) view(v takeover.View) {
	s.count(v)
	if s.rate == 0 && v.SinceFault == 0 {
		return
	}
	line := "  " + s.line(v)
	if s.terminal {
		fmt.Fprint(s.out, clearLine+line)
		s.open = true
		return
	}
	if s.changed(v) || time.Since(s.shownAt) >= plainInterval {
		s.shown, s.shownAt = v, time.Now()
		fmt.Fprintln(s.out, strings.TrimRight(line, " "))
	}
}

// line is a view in one line.
func (s *screen) line(v takeover.View) string {
	// After the fault the held connections rest until they are probed.
	when, held := "before", fmt.Sprintf("held %3d", max(v.Held, 0))
	if v.SinceFault > 0 {
		when, held = fmt.Sprintf("+%.1f s", v.SinceFault.Seconds()), ""
	}
	holders := strings.Join(v.Holders, " and ")
	if holders == "" {
		holders = "no host"
	}
	return fmt.Sprintf("%-7s %5.0f served/s  %5d failed  VIP on %-12s %s", when, s.rate, v.Failed, holders, held)
}

// changed reports whether a view tells something new beside the time.
func (s *screen) changed(v takeover.View) bool {
	return v.Fault != s.shown.Fault || (v.SinceFault > 0) != (s.shown.SinceFault > 0) ||
		strings.Join(v.Holders, " ") != strings.Join(s.shown.Holders, " ")
}

// count keeps the rate of successful connections over the last fifth of a second or so.
func (s *screen) count(v takeover.View) {
	const span = 200 * time.Millisecond
	now, ok := time.Now(), v.Attempts-v.Failed
	if ok < s.counted {
		// Another client has begun to count from zero.
		s.countedAt, s.counted, s.rate = now, ok, 0
		return
	}
	if passed := now.Sub(s.countedAt); passed >= span {
		s.rate = float64(ok-s.counted) / passed.Seconds()
		s.countedAt, s.counted = now, ok
	}
}
