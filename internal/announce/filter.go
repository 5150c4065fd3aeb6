// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// filterLimit is up to how many addresses the filter compares itself. A jump in
// classic BPF spans at most 255 instructions.
const filterLimit = 200

// arpFilter lets through ARP packets whose sender is one of the addresses, so
// that the ARP chatter of a large network does not wake the daemon. Packets too
// short to tell pass, to be counted. With too many addresses everything but
// probes passes.
func arpFilter(addrs []netip.Addr) ([]bpf.RawInstruction, error) {
	const senderIP = 14
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !a.Is4() })
	program := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: 28, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.LoadAbsolute{Off: senderIP, Size: 4},
	}
	if len(addrs) > filterLimit {
		program = append(
			program,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 1},
			bpf.RetConstant{Val: 0},
			bpf.RetConstant{Val: 1 << 16},
		)
		return bpf.Assemble(program)
	}
	for i, a := range addrs {
		ip := a.As4()
		// Onto the last instruction, over the comparisons left and the refusal.
		program = append(program, bpf.JumpIf{
			Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(ip[:]), SkipTrue: uint8(len(addrs) - i),
		})
	}
	program = append(program, bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: 1 << 16})
	return bpf.Assemble(program)
}

// attachFilter puts the filter on a socket, in place of the one there.
func attachFilter(fd int, program []bpf.RawInstruction) error {
	code := make([]unix.SockFilter, len(program))
	for i, in := range program {
		code[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
	if err != nil {
		return fmt.Errorf("attach filter: %w", err)
	}
	return nil
}
