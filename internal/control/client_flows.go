// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// flowLine is a line of the answer: a flow, or at its end why there are no more.
type flowLine struct {
	Flow
	Error string `json:"error"`
}

// Flows yields the flow table as it is read, in no order, and at most limit
// flows unless limit is 0. Flows that come or go meanwhile may be missing. What
// keeps the list from being complete is yielded last: an *Error in the daemon's
// words, ErrClosed when it has gone, or ctx's own error.
func (c *Client) Flows(ctx context.Context, limit int) iter.Seq2[Flow, error] {
	return func(yield func(Flow, error) bool) {
		resp, err := c.openFlows(ctx, limit)
		if err != nil {
			yield(Flow{}, err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		dec := json.NewDecoder(resp.Body)
		for {
			var line flowLine
			err := dec.Decode(&line)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(Flow{}, listingError(ctx, err))
				return
			case line.Error != "":
				yield(Flow{}, &Error{Code: http.StatusInternalServerError, Message: line.Error})
				return
			}
			if !yield(line.Flow, nil) {
				return
			}
		}
	}
}

// openFlows asks for the list. The daemon has the client's patience to begin its
// answer, and after that as long as it takes.
func (c *Client) openFlows(ctx context.Context, limit int) (*http.Response, error) {
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(c.patience, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	resp, err := c.do(ctx, http.MethodGet, "/v1/flows", query)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &cancelling{ReadCloser: resp.Body, cancel: func() { cancel(nil) }}
	return resp, nil
}

// cancelling is a body whose context ends with it.
type cancelling struct {
	io.ReadCloser
	cancel func()
}

func (b *cancelling) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

// listingError says why a list broke off. The end of the connection is not the
// end of the list: that is io.EOF, and was dealt with.
func listingError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return ErrClosed
	}
	return fmt.Errorf("read flows: %w", err)
}
