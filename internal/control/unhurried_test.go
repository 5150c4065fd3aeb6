// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"
)

// slowBackend drains for as long as its channel stays open.
type slowBackend struct {
	Journal
	drained chan struct{}
}

func (b *slowBackend) Status(context.Context) (Status, error) { return Status{}, nil }

func (b *slowBackend) Events(_ context.Context, since uint64) ([]Event, error) {
	return b.Since(since), nil
}

func (b *slowBackend) Drain(ctx context.Context) (DrainResult, error) {
	select {
	case <-b.drained:
		return DrainResult{}, nil
	case <-ctx.Done():
		return DrainResult{}, ctx.Err()
	}
}

func (b *slowBackend) Ready(context.Context) error { return nil }

func (b *slowBackend) Flows(context.Context, func(Flow) error) error { return nil }

// A drain and a stream outlive the timeouts that bound a request's reading.
func TestLongRequestsOutliveReadTimeout(t *testing.T) {
	backend := &slowBackend{drained: make(chan struct{})}
	server := NewServer(backend, slog.New(slog.DiscardHandler))
	server.ioTimeout = 50 * time.Millisecond
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, ln) }()
	defer func() { cancel(); <-done }()

	client := NewClient(path)
	backend.Append(Event{})
	drainErr := make(chan error, 1)
	go func() {
		_, err := client.Drain(ctx, time.Minute)
		drainErr <- err
	}()
	for ev, err := range client.Follow(ctx, 0) {
		if err != nil {
			t.Fatalf("the stream ended: %v", err)
		}
		if ev.Seq == 2 {
			break
		}
		// The next event comes well after every deadline has passed.
		timer := time.AfterFunc(4*server.ioTimeout, func() {
			backend.Append(Event{})
			close(backend.drained)
		})
		defer timer.Stop()
	}
	if err := <-drainErr; err != nil {
		t.Errorf("the drain ended: %v", err)
	}
}
