// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrUnknownSystem is returned for a system's name that does not exist.
var ErrUnknownSystem = errors.New("unknown system")

// SystemNames are the systems that are compared by default, in the order of reports.
func SystemNames() []string { return []string{"hafast", "keepalived-seed", "keepalived-tuned"} }

// VariantNames are further systems that NewSystem knows.
func VariantNames() []string {
	return []string{"hafast-1ms", "hafast-adverts-1s", "hafast-local", "hafast-vrrp"}
}

// OnHosts is the name of a system when it is put on so many hosts: with the number after
// a dash, unless they are a pair.
func OnHosts(name string, hosts int) string {
	if hosts == pairSize {
		return name
	}
	return fmt.Sprintf("%s-%d", name, hosts)
}

// splitHosts takes a name of OnHosts apart.
func splitHosts(name string) (system string, hosts int) {
	if at := strings.LastIndexByte(name, '-'); at >= 0 {
		if n, err := strconv.Atoi(name[at+1:]); err == nil {
			return name[:at], n
		}
	}
	return name, pairSize
}

// NewSystem returns the system of that name. With a number after a dash it is put on so
// many hosts: hafast-3 on three.
func NewSystem(name string) (System, error) {
	system, hosts := splitHosts(name)
	if hosts < pairSize || hosts > maxGroup {
		return nil, fmt.Errorf("%q: a system is put on %d to %d hosts", name, pairSize, maxGroup)
	}
	onHosts := func(f *Hafast) { f.Hosts = hosts }
	switch system {
	case "hafast":
		return newVariant(name, onHosts)
	case "hafast-1ms":
		return newVariant(name, onHosts, func(f *Hafast) { f.Liveness = Liveness{Interval: time.Millisecond, Multiplier: 3} })
	case "hafast-adverts-1s":
		return newVariant(name, onHosts, func(f *Hafast) { f.AdvertInterval = time.Second })
	case "hafast-local":
		return newVariant(name, onHosts, func(f *Hafast) { f.Balance = "local" })
	case "hafast-vrrp":
		return newVariant(name, onHosts, func(f *Hafast) { f.XDP = "off" })
	case "keepalived-seed":
		return onGroup(KeepalivedSeed(), hosts), nil
	case "keepalived-tuned":
		return onGroup(KeepalivedTuned(), hosts), nil
	default:
		return nil, fmt.Errorf("%w %q; there are %s", ErrUnknownSystem, name,
			strings.Join(slices.Concat(SystemNames(), VariantNames()), ", "))
	}
}

// newVariant is hafast with something set.
func newVariant(name string, set ...func(*Hafast)) (System, error) {
	f, err := NewHafast()
	if err != nil {
		return nil, err
	}
	f.Label = name
	for _, change := range set {
		change(f)
	}
	return f, nil
}

// onGroup is keepalived on so many hosts.
func onGroup(k *Keepalived, hosts int) *Keepalived {
	k.Hosts, k.name = hosts, OnHosts(k.name, hosts)
	return k
}
