// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hafast/test/netns/lab"
)

// System is what runs on the routers.
type System interface {
	lab.System
	// Daemons are the processes that run on the host, but not their children.
	Daemons(h *lab.Host) []*lab.Proc
	// Move makes the router that is Active hand over on purpose.
	Move(ctx context.Context, from *lab.Host) error
	// Replicas is how many connections of the peer's the router would know when it
	// became Active.
	Replicas(h *lab.Host) (int, error)
}

// cacher is a System that may keep what the peer tells to itself, and not in the kernel's
// table.
type cacher interface {
	KeepsCache() bool
	// External is what it has been told, a connection a line.
	External(h *lab.Host) (string, error)
}

// errUnknownSystem is returned for a system's name that does not exist.
var errUnknownSystem = errors.New("unknown system")

const (
	// none is the system that replicates nothing: keepalived alone.
	none = "none"
	// ours is the one that all others are compared with, and unsynced the same without
	// replication: what that costs is the difference. Some of it is the kernel's: unread
	// has that and no more.
	ours     = "hafast"
	unsynced = "hafast-unsynced"
	unread   = "hafast-unread"

	conntrackdFTFW    = "conntrackd-ftfw"
	conntrackdNotrack = "conntrackd-notrack"
)

// Replicates reports whether a system tells the peer anything.
func Replicates(sys System) bool { return Adds(sys) && sys.Name() != unread }

// Adds reports whether a system is another one with something added.
func Adds(sys System) bool { return without(sys.Name()) != "" }

// without names the system that is the same but for replication, or but for a part of
// it; empty for one that has none.
func without(name string) string {
	switch name {
	case none, unsynced:
		return ""
	case ours, unread:
		return unsynced
	}
	return none
}

// CostOnly reports whether of a system no more is measured than what replication costs,
// and how late it is, or what there is without it. conntrackd's mode without
// acknowledgements is one to save these: a table is told and committed as in the other
// mode, and what a link loses is lost.
func CostOnly(sys System) bool {
	return strings.HasPrefix(sys.Name(), conntrackdNotrack) || sys.Name() == unsynced || sys.Name() == unread
}

// SystemNames are the systems that are compared by default, in the order of reports.
func SystemNames() []string {
	return []string{none, conntrackdFTFW, conntrackdNotrack, unsynced, unread, ours}
}

// VariantNames are further systems that NewSystem knows.
func VariantNames() []string {
	return []string{conntrackdFTFW + "-direct", conntrackdNotrack + "-direct"}
}

// NewSystem returns the system of that name.
func NewSystem(name string) (System, error) {
	switch name {
	case ours, unsynced, unread:
		f, err := lab.NewRouterHafast()
		if err != nil {
			return nil, err
		}
		f.Unsynced = name != ours
		if name == unread {
			return newUnreadHafast(f), nil
		}
		return f, nil
	}
	mode, direct := strings.CutSuffix(name, "-direct")
	switch mode {
	case none:
		if !direct {
			return &lab.RouterKeepalived{}, nil
		}
	case conntrackdFTFW, conntrackdNotrack:
		_, mode, _ = strings.Cut(mode, "-")
		return &lab.RouterKeepalived{Mode: strings.ToUpper(mode), Direct: direct}, nil
	}
	return nil, fmt.Errorf("%w %q; there are %s", errUnknownSystem, name,
		strings.Join(slices.Concat(SystemNames(), VariantNames()), ", "))
}
