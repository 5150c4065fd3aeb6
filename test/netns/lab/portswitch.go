// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Direction is which frames a closed port drops.
type Direction uint8

// The directions, as the host sees them.
const (
	FromHost Direction = 1 << iota
	ToHost
	BothWays = FromHost | ToHost
)

// String implements fmt.Stringer.
func (d Direction) String() string {
	switch d {
	case FromHost:
		return "from the host"
	case ToHost:
		return "to the host"
	default:
		return "both ways"
	}
}

// PortSwitch closes a host's port of the lab's switch and opens it again. Unlike
// [Host.SilentDeath] that is one store into memory that two programs on the port look at
// (BPF, by TCX), so that it is done within a microsecond whatever else the kernel is about.
type PortSwitch struct {
	closed *ebpf.Memory // a Direction, in 32 bits
	undo   []func() error
}

// PortSwitch returns the switch of the host's port, which is there until the lab is closed.
// It needs Linux 6.6.
func (h *Host) PortSwitch() (*PortSwitch, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.portSwitch != nil {
		return h.portSwitch, nil
	}
	s, err := h.newPortSwitch()
	if err != nil {
		return nil, fmt.Errorf("put a switch on port %s: %w", h.Name, err)
	}
	h.lab.onClose(s.remove)
	h.portSwitch = s
	return s, nil
}

func (h *Host) newPortSwitch() (_ *PortSwitch, err error) {
	s := &PortSwitch{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove())
		}
	}()
	closed, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "lab_port_closed", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return nil, err
	}
	s.undo = append(s.undo, closed.Close)
	if s.closed, err = closed.Memory(); err != nil {
		return nil, err
	}
	for _, way := range []struct {
		direction Direction
		attach    ebpf.AttachType
	}{{FromHost, ebpf.AttachTCXIngress}, {ToHost, ebpf.AttachTCXEgress}} {
		if err := h.attachSwitch(s, closed, way.direction, way.attach); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// attachSwitch puts the program of one direction on the port.
func (h *Host) attachSwitch(s *PortSwitch, closed *ebpf.Map, direction Direction, at ebpf.AttachType) error {
	// Verdicts of enum tcx_action_base (linux/bpf.h).
	const next, drop = -1, 2
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "lab_port_switch", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMapValue(asm.R1, closed.FD(), 0),
			asm.LoadMem(asm.R1, asm.R1, 0, asm.Word),
			asm.Mov.Imm(asm.R0, next),
			asm.JSet.Imm(asm.R1, int32(direction), "drop"),
			asm.Return(),
			asm.Mov.Imm(asm.R0, drop).WithSymbol("drop"),
			asm.Return(),
		},
	})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, program.Close)
	return h.lab.sw.do(func() error {
		port, err := net.InterfaceByName(h.Name)
		if err != nil {
			return err
		}
		attached, err := link.AttachTCX(link.TCXOptions{Interface: port.Index, Program: program, Attach: at})
		if err != nil {
			return err
		}
		s.undo = append(s.undo, attached.Close)
		return nil
	})
}

// Close has the port drop frames.
func (s *PortSwitch) Close(d Direction) { s.set(d) }

// Open undoes Close.
func (s *PortSwitch) Open() { s.set(0) }

func (s *PortSwitch) set(d Direction) {
	// It fails for memory that is shorter or cannot be written, which this is not.
	if _, err := s.closed.WriteAt(binary.NativeEndian.AppendUint32(nil, uint32(d)), 0); err != nil {
		panic(err)
	}
}

// CloseFor closes the port for a while, and returns for how long it was closed: a busy
// machine wakes this process up late.
func (s *PortSwitch) CloseFor(d Direction, long time.Duration) time.Duration {
	begun := time.Now()
	s.Close(d)
	defer s.Open()
	time.Sleep(long)
	return time.Since(begun)
}

func (s *PortSwitch) remove() error {
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		errs = append(errs, s.undo[i]())
	}
	s.undo = nil
	return errors.Join(errs...)
}
