// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strings"
	"testing"
)

// stuckWriter is a disk that does not answer until it is told to.
type stuckWriter struct {
	began, release chan struct{}
	text           strings.Builder
}

func (s *stuckWriter) Write(b []byte) (int, error) {
	select {
	case s.began <- struct{}{}:
	default:
	}
	<-s.release
	return s.text.Write(b)
}

func TestALogThatIsStuckHoldsNobodyUp(t *testing.T) {
	disk := &stuckWriter{began: make(chan struct{}, 1), release: make(chan struct{})}
	w := NewAsyncWriter(disk)
	write := func(n int) {
		if _, err := fmt.Fprintf(w, "line %d\n", n); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	<-disk.began // that one is no longer in the queue
	for n := range logQueue {
		write(1 + n)
	}
	for range 7 {
		write(-1) // no room
	}
	close(disk.release)
	w.Close()
	if got, want := strings.Count(disk.text.String(), "\n"), logQueue+1; got != want {
		t.Errorf("%d lines were written, want %d", got, want)
	}
	if strings.Contains(disk.text.String(), "line -1") {
		t.Error("a line that found no room was written all the same")
	}
}

func TestLostLinesAreCounted(t *testing.T) {
	var text strings.Builder
	w := &AsyncWriter{to: &text, lines: make(chan []byte, 1), done: make(chan struct{})}
	fmt.Fprintln(w, "first")
	fmt.Fprintln(w, "lost")
	fmt.Fprintln(w, "lost")
	if got := string(<-w.lines); got != "first\n" {
		t.Errorf("queued %q", got)
	}
	fmt.Fprintln(w, "next")
	if got, want := string(<-w.lines), "(2 lines of the log were lost)\nnext\n"; got != want {
		t.Errorf("queued %q, want %q", got, want)
	}
}
