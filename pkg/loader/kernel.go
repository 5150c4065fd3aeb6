// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
)

// The oldest kernel that the program loads on and is tested with. Every release from it
// on must load it: what an older one lacks is done without, as Lacks says.
const (
	FloorMajor = 5
	FloorMinor = 10
)

// Lack is something that this kernel has not and hafast does without.
type Lack struct {
	// What is missing, and Since which release of Linux it is there; Since is empty for
	// what is a matter of how the kernel is set up.
	What, Since string
	// Without is what that means for the user, Remedy what brings it back.
	Without, Remedy string
}

func (l Lack) String() string {
	since := ""
	if l.Since != "" {
		since = fmt.Sprintf(" (Linux %s has)", l.Since)
	}
	return fmt.Sprintf("this kernel has no %s%s: %s", l.What, since, l.Without)
}

// kernel is what the program can make use of on the running kernel.
type kernel struct {
	frames bool // XDP programs see frames in several buffers
	loop   bool // programs without a packet, with loops of hundreds of turns
	jit    bool // programs are compiled; the interpreter takes no such loops
}

var (
	lackFrames = Lack{
		"XDP for frames in several buffers", "5.18",
		"the native mode is limited to frames that fit a page, so that jumbo frames need the generic one",
		"use Linux 5.18 or later for jumbo frames",
	}
	lackLoop = Lack{
		"loops in BPF programs of a system call", "5.17",
		"replicated flows are written one system call each, at several times the cost",
		"use Linux 5.17 or later for state sync at a high rate",
	}
	lackJIT = Lack{
		"compiler for BPF programs at work", "",
		"the XDP program is interpreted, which is several times slower, and replicated flows are written one system call each",
		"sysctl -w net.core.bpf_jit_enable=1",
	}
)

// probeKernel tries, since distributions backport features.
func probeKernel() (kernel, error) {
	var k kernel
	for _, p := range []struct {
		has     *bool
		program ebpf.ProgramType
		helper  asm.BuiltinFunc
	}{
		{&k.frames, ebpf.XDP, asm.FnXdpGetBuffLen},
		{&k.loop, ebpf.Syscall, asm.FnLoop},
	} {
		switch err := features.HaveProgramHelper(p.program, p.helper); {
		case err == nil:
			*p.has = true
		case !errors.Is(err, ebpf.ErrNotSupported):
			return k, fmt.Errorf("ask the kernel for %v in %v programs: %w", p.helper, p.program, err)
		}
	}
	return k, nil
}

// compiled reports whether the kernel has compiled a program. There is no setting to be
// read: kernels without a compiler have none, nor have network namespaces.
func compiled(program *ebpf.Program) (bool, error) {
	info, err := program.Info()
	if err != nil {
		return false, fmt.Errorf("read a program: %w", err)
	}
	size, err := info.JitedSize()
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, ebpf.ErrRestrictedKernel) {
		return false, nil
	}
	return size > 0, err
}

func (k kernel) lacks() (lacks []Lack) {
	if !k.frames {
		lacks = append(lacks, lackFrames)
	}
	switch {
	case !k.jit:
		lacks = append(lacks, lackJIT)
	case !k.loop:
		lacks = append(lacks, lackLoop)
	}
	return lacks
}

// loadSpec is the program and its maps as this kernel can have them.
func (k kernel) loadSpec() (*ebpf.CollectionSpec, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	if !k.loop || !k.jit {
		delete(spec.Programs, bpfProgReplicate)
	}
	if !k.frames {
		if err := spec.Variables[bpfVarFramesInPieces].Set(uint8(0)); err != nil {
			return nil, fmt.Errorf("set %s: %w", bpfVarFramesInPieces, err)
		}
		spec.Programs[bpfProgHafast].Flags &^= xdpHasFrags
	}
	return spec, nil
}

// xdpHasFrags is BPF_F_XDP_HAS_FRAGS of linux/bpf.h, which section xdp.frags stands for.
const xdpHasFrags = 1 << 5

// isConstants reports whether a map holds the program's constants: it belongs to one
// loaded program, and is never pinned.
func isConstants(name string) bool { return strings.HasPrefix(name, ".") }
