// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"io"
	"log/slog"
	"sync"

	"hafast/internal/config"
)

// logQueue is how many lines may wait for whoever reads the log.
const logQueue = 1024

// NewLogger returns a logger of the configured level and format.
func NewLogger(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	// The configuration knows only slog's own names.
	_ = level.UnmarshalText([]byte(cfg.Level))
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// AsyncWriter writes in the background: a disk or a journal that is busy for half a
// second must not hold up adverts for as long. A line that finds the queue full is
// dropped, and how many were is written once there is room. Its methods may be called
// from any goroutine.
type AsyncWriter struct {
	to    io.Writer
	lines chan []byte
	done  chan struct{}

	mu     sync.Mutex
	lost   int
	closed bool
}

// NewAsyncWriter returns a writer of whole lines. Close is to be called for it.
func NewAsyncWriter(to io.Writer) *AsyncWriter {
	w := &AsyncWriter{to: to, lines: make(chan []byte, logQueue), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for line := range w.lines {
			// There is nobody left to tell of a log that cannot be written.
			_, _ = w.to.Write(line)
		}
	}()
	return w
}

// Write takes one line, never waits and never fails.
func (w *AsyncWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return len(line), nil
	}
	text := append([]byte(nil), line...)
	if w.lost > 0 {
		text = append(fmt.Appendf(nil, "(%d lines of the log were lost)\n", w.lost), text...)
	}
	select {
	case w.lines <- text:
		w.lost = 0
	default:
		w.lost++
	}
	return len(line), nil
}

// Close waits until what is queued has been written.
func (w *AsyncWriter) Close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.lines)
	}
	w.mu.Unlock()
	<-w.done
}
