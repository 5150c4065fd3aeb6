package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	jit    bool // programs are compiled; an interpreter takes no such loops
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

// jitSwitch is 0 while programs are interpreted, and absent from kernels without a compiler.
const jitSwitch = "/proc/sys/net/core/bpf_jit_enable"

// probeKernel tries, since distributions backport features.
func probeKernel() (kernel, error) {
	k := kernel{jit: compiles()}
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
	k.loop = k.loop && k.jit
	return k, nil
}

// compiles reports whether the kernel has a compiler for programs and uses it. One that
// hides the switch, as in a container without /proc/sys, is taken to.
func compiles() bool {
	b, err := os.ReadFile(jitSwitch)
	if errors.Is(err, fs.ErrNotExist) {
		_, err := os.Stat(filepath.Dir(jitSwitch))
		return err != nil
	}
	return err != nil || strings.TrimSpace(string(b)) != "0"
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
	if !k.loop {
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
