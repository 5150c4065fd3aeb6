// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"hafast/internal/spawn"
)

const (
	// queueSize is how many notifications of one key may wait.
	queueSize = 16
	// commandTimeout is how long one command may run.
	commandTimeout = 60 * time.Second
	// drainTimeout is how long the end of Run waits for what is queued.
	drainTimeout = 10 * time.Second
)

// Kind is the first argument of a command, in keepalived's words.
type Kind string

// The kinds.
const (
	Instance Kind = "INSTANCE"
	Group    Kind = "GROUP"
)

// State is the third argument of a command, in keepalived's words.
type State string

// The states. Master is RFC 9568's Active.
const (
	Master State = "MASTER"
	Backup State = "BACKUP"
	Fault  State = "FAULT"
	Stop   State = "STOP"
)

// Notification is one transition to tell of.
type Notification struct {
	Kind Kind
	// Name is the instance's or the group's.
	Name  string
	State State
	// Priority is the fourth argument.
	Priority uint8
	// Command is for this state alone and is run as it stands; Any, for every
	// state, is run after it with KIND NAME STATE PRIORITY appended, as
	// keepalived does. Either may be empty.
	Command, Any string
	// User runs them as that user; empty means the daemon's own.
	User string
}

type key struct {
	kind Kind
	name string
}

// Runner runs commands. Make it with New.
type Runner struct {
	log     *slog.Logger
	spawner *spawn.Spawner
	dropped atomic.Uint64
	failed  atomic.Uint64

	mu      sync.Mutex
	ctx     context.Context // of the commands; nil until Run, ended when they must stop
	closed  bool            // Run is over: nothing new is taken
	queues  map[key][]Notification
	busy    map[key]bool
	workers sync.WaitGroup
}

// New returns a Runner that keeps what it is told until Run is called.
func New(spawner *spawn.Spawner, log *slog.Logger) *Runner {
	return &Runner{
		log:     log,
		spawner: spawner,
		queues:  make(map[key][]Notification),
		busy:    make(map[key]bool),
	}
}

// Notify queues n and returns at once. After the end of Run it does nothing but
// log.
func (r *Runner) Notify(n Notification) {
	if n.Command == "" && n.Any == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.dropped.Add(1)
		r.log.Warn("notify commands are not run any more", "name", n.Name, "state", n.State)
		return
	}
	k := key{n.Kind, n.Name}
	q := r.queues[k]
	if len(q) == queueSize {
		r.dropped.Add(1)
		r.log.Warn("notify commands are too slow, one transition is left out",
			"name", n.Name, "state", q[0].State)
		q = q[1:]
	}
	r.queues[k] = append(q, n)
	r.kick(k)
}

// Dropped is how many notifications were left out since the start.
func (r *Runner) Dropped() uint64 { return r.dropped.Load() }

// Failed is how many commands did not exit with status 0.
func (r *Runner) Failed() uint64 { return r.failed.Load() }

// Run runs what is queued until ctx ends, then what is left, for 10 seconds at
// most, and returns nil. It can be called once.
func (r *Runner) Run(ctx context.Context) error {
	// The commands outlive ctx, so that what is queued at the end is run.
	commands, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()

	r.mu.Lock()
	r.ctx = commands
	for k := range r.queues {
		r.kick(k)
	}
	r.mu.Unlock()

	<-ctx.Done()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	defer time.AfterFunc(drainTimeout, cancel).Stop()
	r.workers.Wait()
	return nil
}

// kick needs r.mu. It starts the key's goroutine unless it runs.
func (r *Runner) kick(k key) {
	if r.ctx == nil || r.busy[k] || len(r.queues[k]) == 0 {
		return
	}
	r.busy[k] = true
	r.workers.Go(func() { r.work(r.ctx, k) })
}

// work ends when the key has nothing left, so that an idle runner costs nothing.
func (r *Runner) work(ctx context.Context, k key) {
	for {
		n, ok := r.next(k)
		if !ok {
			return
		}
		r.run(ctx, n, n.Command)
		r.run(ctx, n, n.Any, string(n.Kind), n.Name, string(n.State), strconv.Itoa(int(n.Priority)))
	}
}

func (r *Runner) next(k key) (Notification, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.queues[k]
	if len(q) == 0 {
		delete(r.queues, k)
		delete(r.busy, k)
		return Notification{}, false
	}
	r.queues[k] = q[1:]
	return q[0], true
}

func (r *Runner) run(ctx context.Context, n Notification, line string, args ...string) {
	if line == "" {
		return
	}
	log := r.log.With("command", line, "name", n.Name, "state", n.State)
	if ctx.Err() != nil {
		r.dropped.Add(1)
		log.Warn("no time left for a notify command")
		return
	}
	result, err := r.spawner.Run(ctx, spawn.Command{
		Line: line,
		Args: args,
		User: n.User,
	}, commandTimeout)
	switch {
	case errors.Is(err, context.Canceled):
		r.failed.Add(1)
		log.Warn("notify command was stopped at shutdown", "took", result.Duration)
	case err != nil:
		r.failed.Add(1)
		log.Warn("notify command failed", "error", err, "output", result.Output)
	case !result.OK():
		r.failed.Add(1)
		log.Warn("notify command failed", "result", result.Reason(), "output", result.Output)
	default:
		log.Debug("notify command has run", "took", result.Duration)
	}
}
