// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"hafast/internal/serve"
)

// Backend is what the daemon offers to its clients. Its methods are called from
// several goroutines at once.
type Backend interface {
	// Status is a snapshot of the host.
	Status(ctx context.Context) (Status, error)
	// Events returns the kept events with Seq greater than since, oldest first.
	Events(ctx context.Context, since uint64) ([]Event, error)
	// Subscribe carries each new event until ctx is done, then closes the
	// channel. It may lose events for a reader that is slow; the Server fills
	// such gaps from Events.
	Subscribe(ctx context.Context) <-chan Event
	// Drain takes the host out of service at once and waits until every
	// instance that was Active here has another Active. When ctx's deadline
	// passes first, that is no error: the instances that stayed are in Kept. It
	// does not wait for connections to end, only says how many there are.
	Drain(ctx context.Context) (DrainResult, error)
	// Ready takes a drain back. It does nothing when the host is not drained.
	Ready(ctx context.Context) error
	// Flows calls yield with each flow of the table, in any order, and stops with
	// the first error yield returns, which it passes on (wrapped or not). A client
	// that reads slowly keeps yield waiting for as long as it likes: nothing that
	// others need may be held meanwhile. Without a flow table the error says why
	// there is none.
	Flows(ctx context.Context, yield func(Flow) error) error
}

// DefaultDrainTimeout is how long a drain waits for a peer to take over when the
// client does not say: a few advert intervals of a second each.
const DefaultDrainTimeout = 10 * time.Second

const (
	maxDrainTimeout = time.Hour
	// maxConns bounds the open connections, maxFollowers and maxListings those
	// that stay open.
	maxConns     = 64
	maxFollowers = 32
	maxListings  = 8
	// maxBody and maxHeader bound what a request may carry; ours carry nothing.
	maxBody   = 4 << 10
	maxHeader = 16 << 10
)

// Server answers the client commands.
type Server struct {
	backend   Backend
	log       *slog.Logger
	followers chan struct{}
	listings  chan struct{}
	// ioTimeout bounds each read of a request and each write of an answer.
	ioTimeout time.Duration
}

// NewServer returns a server that speaks for backend.
func NewServer(backend Backend, log *slog.Logger) *Server {
	return &Server{
		backend:   backend,
		log:       log,
		followers: make(chan struct{}, maxFollowers),
		listings:  make(chan struct{}, maxListings),
		ioTimeout: 5 * time.Second,
	}
}

// Serve answers on ln until ctx is done, then ends the streams, gives other
// requests a second to finish, closes ln and returns nil. An error means that
// ln failed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	// Requests live as long as ctx, not longer: a follower ends with it.
	srv := &http.Server{
		Handler:           s.Handler(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: s.ioTimeout,
		ReadTimeout:       s.ioTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	if err := serve.HTTP(ctx, srv, ln, maxConns); err != nil {
		return fmt.Errorf("serve control socket: %w", err)
	}
	return nil
}

// Handler is the server without its socket.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("GET /v1/flows", s.flows)
	mux.HandleFunc("POST /v1/drain", s.drain)
	mux.HandleFunc("POST /v1/ready", s.ready)
	// The mux's own answers to what it does not know are plain text.
	for _, path := range []string{"/v1/status", "/v1/events", "/v1/flows", "/v1/drain", "/v1/ready"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			s.fail(w, http.StatusMethodNotAllowed, fmt.Errorf("%s does not take %s", r.URL.Path, r.Method))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, http.StatusNotFound, fmt.Errorf("no such request: %s", r.URL.Path))
	})
	return http.MaxBytesHandler(mux, maxBody)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	st, err := s.backend.Status(r.Context())
	if err != nil {
		s.failBackend(w, err)
		return
	}
	s.reply(w, withoutNulls(st))
}

func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	timeout := DefaultDrainTimeout
	if text := r.URL.Query().Get("timeout"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 || d > maxDrainTimeout {
			s.fail(w, http.StatusBadRequest, fmt.Errorf("timeout %q: want a duration above 0 and up to %v, such as 10s", text, maxDrainTimeout))
			return
		}
		timeout = d
	}
	s.unhurried(w)
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	result, err := s.backend.Drain(ctx)
	if err != nil {
		s.failBackend(w, err)
		return
	}
	result.Moved = orEmpty(result.Moved)
	result.Kept = orEmpty(result.Kept)
	s.reply(w, result)
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.backend.Ready(r.Context()); err != nil {
		s.failBackend(w, err)
		return
	}
	s.reply(w, struct{}{})
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var since uint64
	if text := query.Get("since"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			s.fail(w, http.StatusBadRequest, fmt.Errorf("since %q: want the seq of an event, a whole number", text))
			return
		}
		since = n
	}
	follow := false
	if text := query.Get("follow"); text != "" {
		b, err := strconv.ParseBool(text)
		if err != nil {
			s.fail(w, http.StatusBadRequest, fmt.Errorf("follow %q: want 1 or 0", text))
			return
		}
		follow = b
	}
	if follow {
		s.follow(w, r, since)
		return
	}
	events, err := s.backend.Events(r.Context(), since)
	if err != nil {
		s.failBackend(w, err)
		return
	}
	s.reply(w, orEmpty(events))
}

// unhurried lifts the read deadline from a request that takes long by its
// nature. The request itself has been read; left in place, the deadline would
// fire in net/http's watch for a closed connection and cancel the context.
func (s *Server) unhurried(w http.ResponseWriter) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
		s.log.Debug("control: lift read deadline", "error", err)
	}
}

// reply sends v as JSON.
func (s *Server) reply(w http.ResponseWriter, v any) {
	s.send(w, http.StatusOK, v)
}

// fail sends {"error": ...}.
func (s *Server) fail(w http.ResponseWriter, code int, err error) {
	s.send(w, code, errorBody{Error: err.Error()})
}

// failBackend sends an error of the backend; one that ran out of time is told apart.
func (s *Server) failBackend(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	if errors.Is(err, context.DeadlineExceeded) {
		code = http.StatusGatewayTimeout
	}
	s.fail(w, code, err)
}

func (s *Server) send(w http.ResponseWriter, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		s.log.Error("control: encode answer", "error", err)
		code, body = http.StatusInternalServerError, []byte(`{"error":"the answer could not be encoded; see the log"}`)
	}
	s.writeSoon(w)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// An error here means that the client has gone.
	_, _ = w.Write(append(body, '\n'))
}

// writeSoon gives the client until the deadline to take what is written next.
func (s *Server) writeSoon(w http.ResponseWriter) {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.ioTimeout)); err != nil {
		s.log.Debug("control: set write deadline", "error", err)
	}
}

// errorBody is the answer to whatever failed.
type errorBody struct {
	Error string `json:"error"`
}

// withoutNulls makes the lists of st empty instead of null, so that a reader can
// range over them without asking.
func withoutNulls(st Status) Status {
	st.Targets = orEmpty(st.Targets)
	st.Checks = orEmpty(st.Checks)
	sessions := make([]Liveness, len(st.Liveness))
	for i, session := range st.Liveness {
		session.MissRuns = orEmpty(session.MissRuns)
		sessions[i] = session
	}
	st.Liveness = sessions
	instances := make([]Instance, len(st.Instances))
	for i, inst := range st.Instances {
		inst.VIPs = orEmpty(inst.VIPs)
		instances[i] = inst
	}
	st.Instances = instances
	st.Sync = st.Sync.withoutNulls()
	st.XDP = st.XDP.withoutNulls()
	return st
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
