// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"sync"

	"hafast/internal/control"
)

// fakeBackend is a daemon of few words: it answers what its fields say.
type fakeBackend struct {
	control.Journal

	mu       sync.Mutex
	status   control.Status
	err      error
	readied  int
	drain    func(context.Context) (control.DrainResult, error)
	flows    func(context.Context, func(control.Flow) error) error
	deafened bool
}

func (f *fakeBackend) Status(context.Context) (control.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status, f.err
}

func (f *fakeBackend) Events(_ context.Context, since uint64) ([]control.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Since(since), f.err
}

// Subscribe loses every event but each tenth while the backend is deafened.
func (f *fakeBackend) Subscribe(ctx context.Context) <-chan control.Event {
	live := f.Journal.Subscribe(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.deafened {
		return live
	}
	lossy := make(chan control.Event)
	go func() {
		defer close(lossy)
		for ev := range live {
			if ev.Seq%10 == 0 {
				select {
				case lossy <- ev:
				case <-ctx.Done():
				}
			}
		}
	}()
	return lossy
}

func (f *fakeBackend) Drain(ctx context.Context) (control.DrainResult, error) {
	if f.drain == nil {
		return control.DrainResult{}, f.err
	}
	return f.drain(ctx)
}

func (f *fakeBackend) Ready(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readied++
	return f.err
}

func (f *fakeBackend) Flows(ctx context.Context, yield func(control.Flow) error) error {
	if f.flows == nil {
		return f.err
	}
	return f.flows(ctx, yield)
}
