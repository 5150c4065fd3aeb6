// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hafast/internal/control"
)

// flow is the n-th flow of a made-up table.
func flow(n int) control.Flow {
	return control.Flow{
		Proto: "tcp", Client: fmt.Sprintf("10.9.%d.%d:40000", n>>8&0xff, n&0xff), VIP: "10.0.0.1:443",
		Target: "hab", TargetAddress: "10.0.0.12", Closing: n%2 == 1, IdleSeconds: float64(n) / 4,
	}
}

// table yields n flows and then err.
func table(n int, err error) func(context.Context, func(control.Flow) error) error {
	return func(_ context.Context, yield func(control.Flow) error) error {
		for i := range n {
			if err := yield(flow(i)); err != nil {
				return fmt.Errorf("read flows: %w", err)
			}
		}
		return err
	}
}

// listed is what a listing yields, and the error it ends with.
func listed(seq iter.Seq2[control.Flow, error]) (flows []control.Flow, err error) {
	for f, err := range seq {
		if err != nil {
			return flows, err
		}
		flows = append(flows, f)
	}
	return flows, nil
}

const (
	// much is enough flows for several batches.
	much = 5000
	// some is enough for a batch, and fits a socket's buffer.
	some = 500
)

// unfinished is a table of which some can be read, and then no more until ctx ends.
func unfinished(ctx context.Context, yield func(control.Flow) error) error {
	if err := table(some, nil)(ctx, yield); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestFlows(t *testing.T) {
	tests := []struct {
		name               string
		size, limit, wants int
	}{
		{"none", 0, 0, 0},
		{"one", 1, 0, 1},
		{"all of several batches", much, 0, much},
		{"the limit is in the first batch", much, 3, 3},
		{"the limit is in a later batch", much, much - 1, much - 1},
		{"the limit is the size", 3, 3, 3},
		{"the limit is beyond the size", 3, 1000, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := start(t, &fakeBackend{flows: table(tt.size, nil)})
			got, err := listed(client.Flows(t.Context(), tt.limit))
			if err != nil {
				t.Fatal(err)
			}
			var want []control.Flow
			for i := range tt.wants {
				want = append(want, flow(i))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("flows (-want +got):\n%s", diff)
			}
		})
	}
}

// The limit ends the reading of the table, not only the writing of the list.
func TestFlowsLimitEndsReading(t *testing.T) {
	read := 0
	client, _ := start(t, &fakeBackend{flows: func(_ context.Context, yield func(control.Flow) error) error {
		for {
			read++
			if err := yield(flow(read)); err != nil {
				return err
			}
		}
	}})
	if got, err := listed(client.Flows(t.Context(), 7)); err != nil || len(got) != 7 {
		t.Fatalf("got %d flows and %v, want 7", len(got), err)
	}
	if read != 7 {
		t.Errorf("%d flows were read for 7", read)
	}
}

// A failure has the backend's words, whether or not flows have gone out before it.
func TestFlowsFail(t *testing.T) {
	for _, size := range []int{0, 3, much} {
		t.Run(fmt.Sprintf("after %d", size), func(t *testing.T) {
			client, _ := start(t, &fakeBackend{flows: table(size, errors.New("the data path is off"))})
			_, err := listed(client.Flows(t.Context(), 0))
			var answer *control.Error
			if !errors.As(err, &answer) || answer.Code != http.StatusInternalServerError || err.Error() != "the data path is off" {
				t.Errorf("got %v (%T), want the backend's words with status 500", err, err)
			}
		})
	}
}

// One flow to a line: what people do with curl relies on it.
func TestFlowsAreLines(t *testing.T) {
	handler := control.NewServer(&fakeBackend{flows: table(2, nil)}, slog.New(slog.DiscardHandler)).Handler()
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/flows", nil))
	want := `{"proto":"tcp","client":"10.9.0.0:40000","vip":"10.0.0.1:443","target":"hab","target_address":"10.0.0.12","closing":false,"idle_seconds":0}
{"proto":"tcp","client":"10.9.0.1:40000","vip":"10.0.0.1:443","target":"hab","target_address":"10.0.0.12","closing":true,"idle_seconds":0.25}
`
	if diff := cmp.Diff(want, rec.Body.String()); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if got := rec.Header().Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("content type %s", got)
	}
}

// A daemon that stops in the middle of a list does not leave it looking whole.
func TestFlowsCutShortByStop(t *testing.T) {
	client, stop := start(t, &fakeBackend{flows: unfinished})
	var last error
	seen := 0
	for _, err := range client.Flows(t.Context(), 0) {
		last = err
		if seen++; seen == 1 {
			stop()
		}
	}
	if !errors.Is(last, control.ErrClosed) {
		t.Errorf("after %d flows the list ended with %v, want ErrClosed", seen, last)
	}
}

// A reader that leaves ends the reading of the table, and its own interruption
// is told.
func TestFlowsReaderLeaves(t *testing.T) {
	ended := make(chan error, 1)
	endless := func(_ context.Context, yield func(control.Flow) error) error {
		for {
			if err := yield(flow(0)); err != nil {
				ended <- err
				return err
			}
		}
	}
	client, _ := start(t, &fakeBackend{flows: endless})

	for range client.Flows(t.Context(), 0) {
		break
	}
	if err := <-ended; err == nil {
		t.Error("the backend was not told that the reader left")
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range client.Flows(ctx, 0) {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the list ended with %v, want the cancellation", last)
	}
	<-ended
}

func TestListingsAreBounded(t *testing.T) {
	client, stop := start(t, &fakeBackend{flows: unfinished})
	var refused *control.Error
	for range 50 {
		next, leave := iter.Pull2(client.Flows(t.Context(), 0))
		defer leave()
		if _, err, _ := next(); errors.As(err, &refused) {
			break
		}
	}
	if refused == nil || refused.Code != http.StatusServiceUnavailable {
		t.Fatalf("50 readers were let in, or refused oddly: %v", refused)
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("readers keep other requests out: %v", err)
	}
	stop()
}

func TestFlowsOfForeignServer(t *testing.T) {
	path := t.TempDir() + "/s"
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("{\"proto\":\"tcp\"}\nhello\n"))
	})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	defer func() { _ = srv.Close(); <-done }()
	got, err := listed(control.NewClient(path).Flows(t.Context(), 0))
	if len(got) != 1 || err == nil || !strings.Contains(err.Error(), "read flows") {
		t.Errorf("got %d flows and %v", len(got), err)
	}
}
