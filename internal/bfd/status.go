// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// PeerStatus is a peer's session at one time.
type PeerStatus struct {
	Peer     Peer
	Snapshot Snapshot
	// Err is why a probe could not be sent, last; nil if that never happened.
	Err error
}

// Status is what a Prober knows.
type Status struct {
	Scheduling Scheduling
	// SchedulingErr is why the thread is only Inherited.
	SchedulingErr error
	// Lateness is by how much the thread woke up after its time.
	Lateness Histogram
	Peers    []PeerStatus
}

// ErrNotRunning is returned while nobody probes.
var ErrNotRunning = errors.New("liveness prober is not running")

// statusPatience is how long Status waits for the thread, which looks every 20 ms
// at least.
const statusPatience = 2 * time.Second

// board is where the thread copies its figures to when somebody asks: sessions
// need no atomics, and the thread takes no lock.
type board struct {
	mu     sync.Mutex // those who ask
	asked  atomic.Uint64
	served atomic.Uint64

	// Written by the thread while served is behind asked, read otherwise.
	lateness Histogram
	peers    [MaxPeers]peerFigures
	n        int
}

type peerFigures struct {
	member   *member
	snapshot Snapshot
	errno    unix.Errno
}

// Status asks the thread for its figures, which takes up to 20 ms.
func (p *Prober) Status() (Status, error) {
	b := &p.board
	b.mu.Lock()
	defer b.mu.Unlock()
	want := b.asked.Add(1)
	deadline := time.After(statusPatience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for b.served.Load() != want {
		select {
		case <-tick.C:
			if p.stop.Load() {
				return Status{}, ErrNotRunning
			}
		case <-deadline:
			return Status{}, ErrNotRunning
		}
	}
	st := Status{Lateness: b.lateness, Peers: make([]PeerStatus, b.n)}
	if s := p.scheduling.Load(); s != nil {
		st.Scheduling, st.SchedulingErr = s.class, s.err
	}
	for i := range st.Peers {
		f := &b.peers[i]
		st.Peers[i] = PeerStatus{Peer: f.member.peer, Snapshot: f.snapshot}
		if f.errno != 0 {
			st.Peers[i].Err = f.errno
		}
	}
	return st, nil
}

// publish is the thread's side of it.
func (p *Prober) publish(t *thread) {
	b := &p.board
	asked := b.asked.Load()
	if b.served.Load() == asked {
		return
	}
	b.lateness = t.lateness
	b.n = len(t.plan.members)
	for i, m := range t.plan.members {
		b.peers[i] = peerFigures{member: m, snapshot: m.session.Snapshot(), errno: m.errno}
	}
	b.served.Store(asked)
}
