// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/json"
	"errors"
	"net/http"
)

var errTooManyFollowers = errors.New("too many clients follow the events already")

// follow streams events as NDJSON: those after since, then each new one, until
// the client goes or the server stops.
//
// The subscription is opened before the backlog is read, so nothing falls
// between them, and what comes twice is dropped by its Seq. A gap in the
// subscription is filled from the backlog; what has left the ring by then stays
// missing, which the client sees by Seq too.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, since uint64) {
	select {
	case s.followers <- struct{}{}:
		defer func() { <-s.followers }()
	default:
		s.fail(w, http.StatusServiceUnavailable, errTooManyFollowers)
		return
	}
	ctx := r.Context()
	live := s.backend.Subscribe(ctx)
	backlog, err := s.backend.Events(ctx, since)
	if err != nil {
		s.failBackend(w, err)
		return
	}

	s.unhurried(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	out := eventStream{s: s, w: w, enc: json.NewEncoder(w), last: since}
	if out.send(backlog...) != nil {
		return
	}
	for {
		// The channel closes with ctx, at the latest.
		ev, open := <-live
		if !open {
			return
		}
		pending := []Event{ev}
		if ev.Seq > out.last+1 {
			if missed, err := s.backend.Events(ctx, out.last); err == nil && len(missed) > 0 {
				pending = missed
			}
		}
		if out.send(pending...) != nil {
			return
		}
	}
}

// eventStream writes events in the order of their Seq, each at most once.
type eventStream struct {
	s    *Server
	w    http.ResponseWriter
	enc  *json.Encoder
	last uint64
}

// send writes the events that are new to this stream and flushes, even if there
// were none: the first flush tells the client that it is connected.
func (o *eventStream) send(events ...Event) error {
	o.s.writeSoon(o.w)
	for _, ev := range events {
		if ev.Seq <= o.last {
			continue
		}
		if err := o.enc.Encode(ev); err != nil {
			return err
		}
		o.last = ev.Seq
	}
	return http.NewResponseController(o.w).Flush()
}
