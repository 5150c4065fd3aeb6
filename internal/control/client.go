// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// DefaultSocket is where the daemon listens unless its configuration says
// otherwise.
const DefaultSocket = "/run/hafast/hafast.sock"

var (
	// ErrNotRunning says that nobody listens on the socket.
	ErrNotRunning = errors.New("no daemon answers")
	// ErrPermission says that the socket may not be opened.
	ErrPermission = errors.New("permission denied")
	// ErrClosed says that the daemon ended a stream, as it does when it stops.
	ErrClosed = errors.New("the daemon closed the connection; it may have been stopped")
)

const (
	// requestTimeout bounds what a daemon with a living loop answers at once.
	requestTimeout = 10 * time.Second
	// maxAnswer bounds what a client reads; 1000 VIPs are about 30 KiB.
	maxAnswer = 64 << 20
)

// Error is a request that the daemon refused or could not fulfil.
type Error struct {
	// Code is the HTTP status, 400 or above.
	Code int
	// Message is the daemon's own sentence.
	Message string
}

func (e *Error) Error() string { return e.Message }

// Client speaks to a daemon. It is safe for concurrent use.
type Client struct {
	socket string
	http   *http.Client
	// patience is how long the daemon may take to begin a list.
	patience time.Duration
}

// NewClient returns a client of the daemon behind the unix socket. Nothing is
// opened before the first request.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	// A connection per request: the commands make one and leave.
	return &Client{socket: socket, patience: requestTimeout, http: &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}}
}

// Status asks for a snapshot of the host.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var st Status
	err := c.request(ctx, http.MethodGet, "/v1/status", nil, requestTimeout, &st)
	return st, err
}

// Events asks for the kept events with Seq greater than since, oldest first.
func (c *Client) Events(ctx context.Context, since uint64) ([]Event, error) {
	var events []Event
	query := url.Values{"since": {strconv.FormatUint(since, 10)}}
	err := c.request(ctx, http.MethodGet, "/v1/events", query, requestTimeout, &events)
	return events, err
}

// Drain takes the host out of service and waits for up to timeout until its VIPs
// have moved. A timeout of zero leaves the choice to the daemon.
func (c *Client) Drain(ctx context.Context, timeout time.Duration) (DrainResult, error) {
	query := url.Values{}
	wait := DefaultDrainTimeout
	if timeout != 0 {
		query.Set("timeout", timeout.String())
		wait = timeout
	}
	// The daemon answers when its own time is up; ours is for a stuck daemon.
	var result DrainResult
	err := c.request(ctx, http.MethodPost, "/v1/drain", query, wait+requestTimeout, &result)
	return result, err
}

// Ready takes a drain back.
func (c *Client) Ready(ctx context.Context) error {
	return c.request(ctx, http.MethodPost, "/v1/ready", nil, requestTimeout, &struct{}{})
}

// Follow yields the kept events with Seq greater than since and then each new
// one as it happens. It ends silently with ctx, or with an error: ErrClosed when
// the daemon ends the stream. A Seq that is not the last one plus one means that
// events were lost in between. Seq starts at 1 with each daemon: since must come
// from the one that is asked.
func (c *Client) Follow(ctx context.Context, since uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		query := url.Values{"since": {strconv.FormatUint(since, 10)}, "follow": {"1"}}
		resp, err := c.do(ctx, http.MethodGet, "/v1/events", query)
		if err != nil {
			if ctx.Err() == nil {
				yield(Event{}, err)
			}
			return
		}
		defer func() { _ = resp.Body.Close() }()
		dec := json.NewDecoder(resp.Body)
		for {
			var ev Event
			if err := dec.Decode(&ev); err != nil {
				if ctx.Err() == nil {
					yield(Event{}, streamError(err))
				}
				return
			}
			if !yield(ev, nil) {
				return
			}
		}
	}
}

// streamError tells an ended stream from a broken one.
func streamError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return ErrClosed
	}
	return fmt.Errorf("read events: %w", err)
}

// request makes one request and decodes its answer into v.
func (c *Client) request(ctx context.Context, method, path string, query url.Values, timeout time.Duration, v any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.do(ctx, method, path, query)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("read answer of the daemon: %w", err)
	}
	return nil
}

// do makes one request. An answer that is an error becomes *Error, and the
// failures to get one that people meet become sentences with their mend.
func (c *Client) do(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	// The host is there for HTTP's sake; the socket alone decides who answers.
	u := url.URL{Scheme: "http", Host: "hafast", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var body errorBody
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&body); err != nil || body.Error == "" {
		return nil, &Error{Code: resp.StatusCode, Message: "the daemon answers " + resp.Status}
	}
	return nil, &Error{Code: resp.StatusCode, Message: body.Error}
}

func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w on %s: is hafast running? start it with 'hafast run', or name its socket with --socket", ErrNotRunning, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w on %s: run this as root, or as a member of the socket's group", ErrPermission, c.socket)
	case errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("%s is not the socket of a daemon: name the right one with --socket", c.socket)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the daemon on %s takes connections and does not answer: look at its log: %w", c.socket, context.DeadlineExceeded)
	}
	// url.Error repeats method and URL, which mean nothing to people here.
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("ask the daemon on %s: %w", c.socket, err)
}
