// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinels for callers that branch.
var (
	// ErrLayout: a predecessor's maps have a layout that this version cannot take
	// over. The error is a *LayoutError.
	ErrLayout = errors.New("pinned maps of another layout")
	// ErrOccupied: the interface runs somebody else's XDP program. The error is an
	// *OccupiedError.
	ErrOccupied = errors.New("interface runs another XDP program")
	// ErrBusy: another process has the pin directory open.
	ErrBusy = errors.New("pin directory in use by another process")
	// ErrNoBPFFS: the pin directory is not on a BPF filesystem.
	ErrNoBPFFS = errors.New("not on a BPF filesystem")

	errClosed = errors.New("the data path is closed")
)

// LayoutError names the pin that cannot be taken over. Open has changed nothing: the
// predecessor's program serves until the caller takes it down.
type LayoutError struct {
	Dir      string // the pin directory
	Path     string // the pin
	Found    string
	Expected string
	Flows    int // that are lost with the directory
}

func (e *LayoutError) Error() string {
	return fmt.Sprintf("%s has %s, but this version of hafast needs %s: %d flows are lost when it is replaced",
		e.Path, e.Found, e.Expected, e.Flows)
}

// Is makes errors.Is(err, ErrLayout) true.
func (e *LayoutError) Is(target error) bool { return target == ErrLayout }

// OccupiedError names the program that was there first. It has not been touched.
type OccupiedError struct {
	Interface string
	ProgramID uint32
	Program   string // its name; empty if it has none or is gone already
	Mode      Mode
}

func (e *OccupiedError) Error() string {
	off := "xdp"
	if e.Mode == ModeGeneric {
		off = "xdpgeneric"
	}
	whose, remedy := "", "stop what has put it there"
	if owner, how := Owner(e.Interface, e.Program); owner != "" {
		whose, remedy = " of "+owner, how
	}
	return fmt.Sprintf("%s already runs XDP program %d (%q, %s)%s: %s, "+
		"or remove it with 'ip link set dev %s %s off', or run hafast with 'xdp: off'",
		e.Interface, e.ProgramID, e.Program, e.Mode, whose, remedy, e.Interface, off)
}

// Owner recognizes the programs of others by their names, and says how each is taken off
// an interface; both are empty for one that is not known.
func Owner(device, program string) (who, remedy string) {
	switch {
	case program == "xdp_dispatcher":
		return "libxdp (xdp-tools)", "xdp-loader unload " + device + " --all"
	case strings.HasPrefix(program, "cil_xdp"), strings.HasPrefix(program, "bpf_xdp_entry"):
		return "Cilium", "take " + device + " out of its devices, or set loadBalancer.acceleration to disabled"
	case strings.HasPrefix(program, "balancer_ingres"):
		return "katran", "stop it"
	}
	return "", ""
}

// Is makes errors.Is(err, ErrOccupied) true.
func (e *OccupiedError) Is(target error) bool { return target == ErrOccupied }
