package lab

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknownSystem is returned for a system's name that does not exist.
var ErrUnknownSystem = errors.New("unknown system")

// SystemNames are what NewSystem knows, in the order of reports.
func SystemNames() []string { return []string{"hafast", "keepalived-seed", "keepalived-tuned"} }

// NewSystem returns the system of that name.
func NewSystem(name string) (System, error) {
	switch name {
	case "hafast":
		return NewHafast()
	case "keepalived-seed":
		return KeepalivedSeed(), nil
	case "keepalived-tuned":
		return KeepalivedTuned(), nil
	default:
		return nil, fmt.Errorf("%w %q; there are %s", ErrUnknownSystem, name, strings.Join(SystemNames(), ", "))
	}
}
