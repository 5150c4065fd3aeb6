// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// Flow is one entry of the flow table: a client's connection, and the haproxy it
// goes to.
type Flow struct {
	// Proto is tcp or udp.
	Proto string `json:"proto"`
	// Client and VIP are address:port, with brackets around IPv6.
	Client string `json:"client"`
	VIP    string `json:"vip"`
	// Target is the node, empty for one that is not known by name.
	Target        string `json:"target"`
	TargetAddress string `json:"target_address"`
	// Closing says that a FIN or RST has gone by.
	Closing bool `json:"closing"`
	// IdleSeconds is the time since the client's last packet.
	IdleSeconds float64 `json:"idle_seconds"`
}

// listingBatch is how many bytes of flows are written at a time: some hundred
// flows.
const listingBatch = 64 << 10

var (
	errTooManyListings = errors.New("too many clients list the flows already")
	// errEnough ends a listing at its limit.
	errEnough = errors.New("limit reached")
)

// flows streams the flow table as NDJSON. Neither side ever holds more than a
// batch, so a table of a million flows costs no more memory than one of ten.
//
// A reader may take its time, as somebody who pages through the list does: there
// is no write deadline, but a bound on how many list at a time.
func (s *Server) flows(w http.ResponseWriter, r *http.Request) {
	limit := 0
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			s.fail(w, http.StatusBadRequest, fmt.Errorf("limit %q: want a whole number above 0", text))
			return
		}
		limit = n
	}
	select {
	case s.listings <- struct{}{}:
		defer func() { <-s.listings }()
	default:
		s.fail(w, http.StatusServiceUnavailable, errTooManyListings)
		return
	}

	s.unhurried(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := newListing(w, limit)
	err := s.backend.Flows(r.Context(), out.add)
	switch {
	case err == nil, errors.Is(err, errEnough):
		_ = out.flush()
	case !out.sent:
		s.failBackend(w, err)
	default:
		out.fail(r.Context(), err)
	}
}

// listing writes flows in batches.
type listing struct {
	w   http.ResponseWriter
	buf bytes.Buffer
	enc *json.Encoder
	// left is how many more may be written; -1 for all.
	left int
	// sent says that something has been written, after which the status of the
	// answer cannot change.
	sent bool
}

func newListing(w http.ResponseWriter, limit int) *listing {
	l := &listing{w: w, left: limit}
	if limit == 0 {
		l.left = -1
	}
	l.enc = json.NewEncoder(&l.buf)
	return l
}

// add writes a flow, sooner or later. It returns errEnough with the last one.
func (l *listing) add(f Flow) error {
	if err := l.enc.Encode(f); err != nil {
		return err
	}
	if l.buf.Len() >= listingBatch {
		if err := l.flush(); err != nil {
			return err
		}
	}
	if l.left > 0 {
		l.left--
	}
	if l.left == 0 {
		return errEnough
	}
	return nil
}

func (l *listing) flush() error {
	l.sent = true
	_, err := l.w.Write(l.buf.Bytes())
	l.buf.Reset()
	return err
}

// fail ends a listing that has begun. Without a reader, or with the server about
// to stop, the connection is cut, so that nobody takes what came for the whole.
func (l *listing) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	// An error here means that the client has gone.
	_ = l.enc.Encode(errorBody{Error: err.Error()})
	_ = l.flush()
}
