package loader

import (
	"errors"
	"fmt"
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
	return fmt.Sprintf("%s already runs XDP program %d (%q, %s): stop what has put it there, "+
		"or remove it with 'ip link set dev %s %s off', or run hafast with 'xdp: off'",
		e.Interface, e.ProgramID, e.Program, e.Mode, e.Interface, off)
}

// Is makes errors.Is(err, ErrOccupied) true.
func (e *OccupiedError) Is(target error) bool { return target == ErrOccupied }
