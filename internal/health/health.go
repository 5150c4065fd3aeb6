// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"time"
)

// Update is one check's new result.
type Update struct {
	// Check is the checker's name.
	Check string
	// Up is false when the check has failed.
	Up bool
	// Value is the number found by a file check, 0 for all others.
	Value int
	// Detail says in a few words what was found: "killed by signal 9, pid 12".
	Detail string
	// At is when the change was seen.
	At time.Time
}

// Checker watches one thing.
type Checker interface {
	// Name is the check's name, constant and unique among a host's checks.
	Name() string
	// Run watches until ctx ends and then returns nil, with no goroutine,
	// child or descriptor left. It calls report from its own goroutine, never
	// concurrently: once with the first result, then at each change of the
	// result or of its cause. An error means that the check cannot be done at
	// all on this system.
	Run(ctx context.Context, report func(Update)) error
}

// streak turns single results into a state: rise good results in a row bring it
// up, fall bad ones down. The first result counts at once, so that a host
// knows where it stands after one run.
type streak struct {
	rise, fall int

	known bool
	up    bool
	run   int // results in a row against the present state
}

// add takes a result and reports whether the state is new.
func (s *streak) add(ok bool) (changed bool) {
	if !s.known {
		s.known, s.up = true, ok
		return true
	}
	if ok == s.up {
		s.run = 0
		return false
	}
	s.run++
	need := s.fall
	if ok {
		need = s.rise
	}
	if s.run < need {
		return false
	}
	s.up, s.run = ok, 0
	return true
}
