// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// xdpDrop is XDP_DROP of enum xdp_action (linux/bpf.h).
const xdpDrop = 1

// Where a frame has what a filter looks at, and how long it must be for that.
const (
	etherTypeAt  = 12
	ipv4SourceAt = 26
	filterLength = 34
)

// SecurePort has the switch drop what the host sends over IPv4 with any other source than
// these, as switches and hypervisors with port security do.
func (h *Host) SecurePort(sources ...netip.Addr) error {
	program := head()
	program = append(program,
		asm.LoadMem(asm.R3, asm.R1, etherTypeAt, asm.Half),
		asm.JNE.Imm(asm.R3, int32(binary.NativeEndian.Uint16([]byte{0x08, 0x00})), "pass"),
		asm.LoadMem(asm.R3, asm.R1, ipv4SourceAt, asm.Word),
	)
	for _, a := range sources {
		b := a.As4()
		program = append(program,
			asm.LoadImm(asm.R4, int64(binary.NativeEndian.Uint32(b[:])), asm.DWord),
			asm.JEq.Reg(asm.R3, asm.R4, "pass"),
		)
	}
	return h.filterPort(tail(program))
}

// CutTowards has the switch drop what the host sends to another one alone: the link between
// them works one way.
func (h *Host) CutTowards(to *Host) error {
	program := append(head(),
		asm.LoadMem(asm.R3, asm.R1, 0, asm.Word),
		asm.LoadImm(asm.R4, int64(binary.NativeEndian.Uint32(to.MAC[:4])), asm.DWord),
		asm.JNE.Reg(asm.R3, asm.R4, "pass"),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Half),
		asm.JNE.Imm(asm.R3, int32(binary.NativeEndian.Uint16(to.MAC[4:])), "pass"),
	)
	return h.filterPort(tail(program))
}

// head loads the frame's beginning into R1, or passes it on if it is too short.
func head() asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 4, asm.Word), // data_end
		asm.LoadMem(asm.R1, asm.R1, 0, asm.Word), // data
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.Add.Imm(asm.R3, filterLength),
		asm.JGT.Reg(asm.R3, asm.R2, "pass"),
	}
}

// tail drops what has come so far.
func tail(program asm.Instructions) asm.Instructions {
	return append(program,
		asm.Mov.Imm(asm.R0, xdpDrop),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"),
		asm.Return(),
	)
}

// filterPort puts a program on the host's port in place of the one that is there.
func (h *Host) filterPort(instructions asm.Instructions) error {
	program, err := loadForPort("lab_filter", instructions)
	if err != nil {
		return fmt.Errorf("load the filter of port %s: %w", h.Name, err)
	}
	err = h.lab.sw.do(func() error {
		port, err := netlink.LinkByName(h.Name)
		if err != nil {
			return err
		}
		return netlink.LinkSetXdpFdWithFlags(port, program.FD(), unix.XDP_FLAGS_DRV_MODE)
	})
	return errors.Join(err, program.Close())
}
