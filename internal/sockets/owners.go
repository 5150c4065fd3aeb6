// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"maps"
	"time"
)

const (
	// trust is how long an answer to "is it haproxy's?" is believed. To find it
	// out means to read the descriptors of haproxy's processes, 4 us each, and
	// with ten thousand connections these are ten thousand; but a socket's owner
	// does not change as long as nobody comes or goes. What is left is a socket
	// that haproxy has closed and a process that is none of it keeps open
	// (systemd's socket activation): that is noticed after this time.
	trust = 30 * time.Second
	// settling is how long a new socket must be there until a No is believed. A
	// master that reloads opens the listeners, forks a worker that has them too
	// and closes its own: whoever lists the processes before that and their
	// descriptors after it finds nobody with the socket.
	settling = 5 * time.Second
)

// owners tells which sockets are haproxy's. It belongs to one goroutine at a time.
type owners struct {
	proc procfs
	// roots are the processes asked for, with their start times.
	roots map[int]uint64
	// known has the sockets that were decided about, by cookie.
	known map[uint64]decision
}

type decision struct {
	own bool
	// first is when the socket was seen first, at when it was decided.
	first, at time.Time
}

// stands reports whether the decision need not be made again.
func (d decision) stands(now time.Time) bool {
	return now.Sub(d.at) < trust && (d.own || d.at.Sub(d.first) >= settling)
}

func newOwners(dir string) *owners { return &owners{proc: procfs(dir)} }

// of returns a filter that leaves those of the sockets which the processes, or
// their descendants, have open.
func (o *owners) of(pids []int, now time.Time, lists ...[]record) (func([]record) []record, error) {
	roots := make(map[int]uint64, len(pids))
	for _, pid := range pids {
		if st, err := o.proc.stat(pid); err == nil {
			roots[pid] = st.start
		}
	}
	if !maps.Equal(roots, o.roots) {
		o.roots, o.known = roots, nil
	}
	if err := o.decide(now, lists); err != nil {
		o.known = nil
		return nil, err
	}
	return func(list []record) []record {
		var own []record
		for _, r := range list {
			if o.known[r.cookie].own {
				own = append(own, r)
			}
		}
		return own
	}, nil
}

// decide finds out about the sockets that need it, and forgets those that are gone.
func (o *owners) decide(now time.Time, lists [][]record) error {
	known := make(map[uint64]decision, len(o.known))
	cookies := make(map[uint64]uint64) // by inode
	for _, list := range lists {
		for _, r := range list {
			d, seen := o.known[r.cookie]
			if !seen {
				d.first = now
			}
			if !seen || !d.stands(now) {
				d.own, d.at = false, now
				if r.inode != 0 {
					cookies[uint64(r.inode)] = r.cookie
				}
			}
			known[r.cookie] = d
		}
	}
	o.known = known
	if len(cookies) == 0 || len(o.roots) == 0 {
		return nil
	}
	pids, err := o.proc.descendants(o.roots)
	if err != nil {
		return err
	}
	return o.proc.sockets(pids, func(inode uint64) bool {
		if cookie, ok := cookies[inode]; ok {
			known[cookie] = decision{own: true, first: known[cookie].first, at: now}
			delete(cookies, inode)
		}
		return len(cookies) > 0
	})
}
