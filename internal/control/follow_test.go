// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hafast/internal/control"
)

func TestFollow(t *testing.T) {
	tests := []struct {
		name     string
		deafened bool
	}{
		{"every event arrives", false},
		{"what the subscription loses is filled in", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			backend := &fakeBackend{deafened: tt.deafened}
			for range 5 {
				backend.Append(control.Event{})
			}
			client, _ := start(t, backend)
			var got []uint64
			for ev, err := range client.Follow(t.Context(), 2) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, ev.Seq)
				if ev.Seq == 5 { // The backlog is through: from here on it is live.
					for range 15 {
						backend.Append(control.Event{})
					}
				}
				if ev.Seq == 20 {
					break
				}
			}
			var want []uint64
			for s := uint64(3); s <= 20; s++ {
				want = append(want, s)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("seqs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFollowEndsWithServer(t *testing.T) {
	backend := &fakeBackend{}
	backend.Append(control.Event{})
	client, stop := start(t, backend)
	var last error
	for _, err := range client.Follow(t.Context(), 0) {
		last = err
		if err == nil {
			stop()
		}
	}
	if !errors.Is(last, control.ErrClosed) {
		t.Errorf("the stream ended with %v, want ErrClosed", last)
	}
}

func TestFollowEndsSilentlyWithContext(t *testing.T) {
	backend := &fakeBackend{}
	backend.Append(control.Event{})
	client, _ := start(t, backend)
	ctx, cancel := context.WithCancel(t.Context())
	for ev, err := range client.Follow(ctx, 0) {
		if err != nil {
			t.Errorf("got error %v after the context ended", err)
		}
		if ev.Seq == 1 {
			cancel()
		}
	}
	cancel()
}

func TestFollowersAreBounded(t *testing.T) {
	backend := &fakeBackend{}
	backend.Append(control.Event{})
	client, _ := start(t, backend)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var refused *control.Error
	for range 100 {
		connected := make(chan error, 1)
		go func() {
			for _, err := range client.Follow(ctx, 0) {
				select {
				case connected <- err:
				default:
				}
			}
		}()
		if err := <-connected; errors.As(err, &refused) {
			break
		}
	}
	if refused == nil || refused.Code != http.StatusServiceUnavailable {
		t.Fatalf("100 followers were let in, or refused oddly: %v", refused)
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("followers keep other requests out: %v", err)
	}
}
