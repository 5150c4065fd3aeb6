// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"hafast/internal/control"
)

const (
	// waitInterval is the pause between two looks at what is left.
	waitInterval = 250 * time.Millisecond
	// waitReport is how often a log is told of it; a terminal always shows it.
	waitReport = 10 * time.Second
)

// waitUntilEmpty waits until this host's haproxy has no connection left, and
// shows how many there are meanwhile. When the time is up the error has the code
// exitUnfinished.
//
// None must be left at two looks in a row, or at the last one: right after the
// drain a peer may still send a new flow or two, which come and go.
func waitUntilEmpty(ctx context.Context, client *control.Client, out io.Writer, wait time.Duration) error {
	timeUp := time.NewTimer(wait)
	defer timeUp.Stop()
	ticker := time.NewTicker(waitInterval)
	defer ticker.Stop()
	shown := countdown{out: out, redraw: isTerminal(out)}
	for empty := 0; ; {
		st, err := client.Status(ctx)
		if err != nil {
			return errors.Join(shown.end(), err)
		}
		self, err := drainingSelf(st)
		if err != nil {
			return errors.Join(shown.end(), err)
		}
		if left := self.Connections; left == nil || *left > 0 {
			empty = 0
			if err := shown.update(time.Now(), left); err != nil {
				return err
			}
		} else if empty++; empty == 2 {
			return errors.Join(shown.end(), write(out, leftText(left)))
		}
		select {
		case <-ticker.C:
		case <-timeUp.C:
			if empty > 0 {
				return errors.Join(shown.end(), write(out, leftText(self.Connections)))
			}
			return errors.Join(shown.end(), unfinished(self, wait))
		case <-ctx.Done():
			return errors.Join(shown.end(), ctx.Err())
		}
	}
}

// drainingSelf finds this host's haproxy, as long as it is drained.
func drainingSelf(st control.Status) (control.Target, error) {
	if !st.Drained {
		return control.Target{}, errors.New("this host is not drained any more: somebody has used 'hafast ready'")
	}
	for _, target := range st.Targets {
		if target.Self {
			return target, nil
		}
	}
	return control.Target{}, errors.New("drained, but the haproxy of this host is not watched: there is no telling when its connections have ended")
}

func unfinished(self control.Target, wait time.Duration) error {
	err := fmt.Errorf("drained, but how many connections are still open here is not known after %v", wait)
	switch {
	case self.Connections != nil:
		err = fmt.Errorf("drained, but after %v %s still open here; the drain goes on, 'hafast ready' takes it back",
			wait, countAre(*self.Connections, "connection"))
	case self.Reason != "":
		err = fmt.Errorf("%w: %s", err, self.Reason)
	}
	return &exitError{code: exitUnfinished, err: err}
}

// leftText tells how many connections are open on a drained host; nothing when
// that is not known.
func leftText(n *int) string {
	switch {
	case n == nil:
		return ""
	case *n == 0:
		return "no connection is left here\n"
	}
	return countAre(*n, "connection") + " still open here\n"
}

// countAre is "1 problem is" or "2 problems are".
func countAre(n int, noun string) string {
	verb := "are"
	if n == 1 {
		verb = "is"
	}
	return count(n, noun) + " " + verb
}

// countdown shows a number that changes: on a terminal in one line, elsewhere in
// a line now and then.
type countdown struct {
	out    io.Writer
	redraw bool

	// shown is what was shown last, at reported; pending says that the terminal's
	// line is not ended.
	shown    string
	reported time.Time
	pending  bool
}

func (c *countdown) update(now time.Time, left *int) error {
	text := leftText(left)
	if text == "" || text == c.shown {
		return nil
	}
	if c.redraw {
		c.shown, c.pending = text, true
		const start, clearLine = "\r", "\x1b[K"
		return write(c.out, start+text[:len(text)-1]+clearLine)
	}
	if !c.reported.IsZero() && now.Sub(c.reported) < waitReport {
		return nil
	}
	c.shown, c.reported = text, now
	return write(c.out, text)
}

// end ends the terminal's line.
func (c *countdown) end() error {
	if !c.pending {
		return nil
	}
	c.pending = false
	return write(c.out, "\n")
}
