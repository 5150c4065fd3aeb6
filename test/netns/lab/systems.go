package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrUnknownSystem is returned for a system's name that does not exist.
var ErrUnknownSystem = errors.New("unknown system")

// SystemNames are the systems that are compared by default, in the order of reports.
func SystemNames() []string { return []string{"hafast", "keepalived-seed", "keepalived-tuned"} }

// VariantNames are further systems that NewSystem knows.
func VariantNames() []string { return []string{"hafast-1ms", "hafast-local", "hafast-vrrp"} }

// NewSystem returns the system of that name.
func NewSystem(name string) (System, error) {
	switch name {
	case "hafast":
		return newVariant(name, func(*Hafast) {})
	case "hafast-1ms":
		return newVariant(name, func(f *Hafast) { f.Liveness = Liveness{Interval: time.Millisecond, Multiplier: 3} })
	case "hafast-local":
		return newVariant(name, func(f *Hafast) { f.Balance = "local" })
	case "hafast-vrrp":
		return newVariant(name, func(f *Hafast) { f.XDP = "off" })
	case "keepalived-seed":
		return KeepalivedSeed(), nil
	case "keepalived-tuned":
		return KeepalivedTuned(), nil
	default:
		return nil, fmt.Errorf("%w %q; there are %s", ErrUnknownSystem, name,
			strings.Join(slices.Concat(SystemNames(), VariantNames()), ", "))
	}
}

// newVariant is hafast with something set.
func newVariant(name string, set func(*Hafast)) (System, error) {
	f, err := NewHafast()
	if err != nil {
		return nil, err
	}
	f.Label = name
	set(f)
	return f, nil
}
