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

// none is the system that replicates nothing: keepalived alone.
const none = "none"

// Replicates reports whether a system tells the peer anything.
func Replicates(sys System) bool { return sys.Name() != none }

// SystemNames are the systems that are compared by default, in the order of reports.
func SystemNames() []string { return []string{none, "conntrackd-ftfw", "conntrackd-notrack", "hafast"} }

// VariantNames are further systems that NewSystem knows.
func VariantNames() []string { return []string{"conntrackd-ftfw-direct", "conntrackd-notrack-direct"} }

// NewSystem returns the system of that name.
func NewSystem(name string) (System, error) {
	if name == "hafast" {
		return lab.NewRouterHafast()
	}
	mode, direct := strings.CutSuffix(name, "-direct")
	switch mode {
	case none:
		if !direct {
			return &lab.RouterKeepalived{}, nil
		}
	case "conntrackd-ftfw", "conntrackd-notrack":
		_, mode, _ = strings.Cut(mode, "-")
		return &lab.RouterKeepalived{Mode: strings.ToUpper(mode), Direct: direct}, nil
	}
	return nil, fmt.Errorf("%w %q; there are %s", errUnknownSystem, name,
		strings.Join(slices.Concat(SystemNames(), VariantNames()), ", "))
}
