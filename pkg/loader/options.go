// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
)

// Capacities of the flow tables, in flows. A flow takes 88 bytes of the kernel's
// memory (IPv4) or 112 (IPv6), all of which is allocated at once: 65 MB by default.
const (
	DefaultFlows = 1 << 18
	MinFlows     = 1 << 12
	MaxFlows     = 1 << 24

	// udpShare is what part of TCP's capacity UDP has.
	udpShare = 4

	// freePerCPU is how many entries of an LRU table each possible processor may hold
	// back as free (LOCAL_FREE_TARGET of the kernel's bpf_lru_list.c). They are at most
	// a freeShare of a table: one that gives them most of its room evicts flows while
	// it is nearly empty.
	freePerCPU = 128
	freeShare  = 4

	// DefaultEventBytes is room for 18,700 events, or a tenth of a second of 100,000 new
	// flows a second that end at once.
	DefaultEventBytes = 1 << 20
	MaxEventBytes     = 1 << 28
)

// Options say what to load and where it is kept.
type Options struct {
	// PinDir is an absolute path on a BPF filesystem. It is made if it is not
	// there, and belongs to hafast alone. Names in it must not contain dots
	// (the kernel's rule). Empty: nothing is pinned, and all ends with Close.
	PinDir string

	// Flows is the number of TCP flows remembered for each of IPv4 and IPv6; UDP
	// has a quarter of that. Zero means DefaultFlows. No table has fewer than 512 for each
	// processor that this machine can have, whatever Flows is.
	Flows int

	// EventBytes is the size of the ring that FlowEvents reads: a power of two, and not
	// less than a page. An event takes 56 bytes. Zero means DefaultEventBytes.
	EventBytes int

	// Waiting, if set, is called when another process has the pin directory: Open waits
	// for it for 2 seconds, and then fails with ErrBusy.
	Waiting func()

	// cpus is how many processors there can be.
	cpus int
}

func (o *Options) complete() error {
	if o.Flows == 0 {
		o.Flows = DefaultFlows
	}
	if o.Flows < MinFlows || o.Flows > MaxFlows {
		return fmt.Errorf("capacity of %d flows: must be from %d to %d", o.Flows, MinFlows, MaxFlows)
	}
	if o.EventBytes == 0 {
		o.EventBytes = DefaultEventBytes
	}
	if b := o.EventBytes; b < os.Getpagesize() || b > MaxEventBytes || b&(b-1) != 0 {
		return fmt.Errorf("%d bytes for events: must be a power of two from %d to %d", b, os.Getpagesize(), MaxEventBytes)
	}
	var err error
	if o.cpus, err = ebpf.PossibleCPU(); err != nil {
		return fmt.Errorf("count the processors: %w", err)
	}
	if o.PinDir == "" {
		return nil
	}
	if !filepath.IsAbs(o.PinDir) {
		return errors.New("pin directory " + o.PinDir + ": must be an absolute path")
	}
	o.PinDir = filepath.Clean(o.PinDir)
	return nil
}

// capacity is the number of entries that a flow table is to have.
func (o *Options) capacity(table string) uint32 {
	n := o.Flows
	if table == bpfMapUdp4 || table == bpfMapUdp6 {
		n /= udpShare
	}
	return uint32(max(n, o.floor()))
}

// floor is the least capacity of a table that works with this many processors.
func (o *Options) floor() int { return freeShare * freePerCPU * o.cpus }
