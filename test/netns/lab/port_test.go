// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// etherTypeTest is for experiments (IEEE 802 local experimental EtherType 1).
const etherTypeTest = 0x88b5

// mirrorProgram sends frames of the test's type back to whom they came from, by
// XDP_TX, and passes all others.
func mirrorProgram(t *testing.T) *ebpf.Program {
	t.Helper()
	const xdpTX = 3
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "mirror",
		Type: ebpf.XDP,
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R0, xdpPass),
			asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // xdp_md.data
			asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // xdp_md.data_end
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, 14),
			asm.JGT.Reg(asm.R4, asm.R3, "exit"),
			asm.LoadMem(asm.R5, asm.R2, 12, asm.Half),
			asm.HostTo(asm.BE, asm.R5, asm.Half),
			asm.JNE.Imm(asm.R5, etherTypeTest, "exit"),
			// The two addresses change places, two bytes at a time.
			asm.LoadMem(asm.R4, asm.R2, 0, asm.Half), asm.LoadMem(asm.R5, asm.R2, 6, asm.Half),
			asm.StoreMem(asm.R2, 0, asm.R5, asm.Half), asm.StoreMem(asm.R2, 6, asm.R4, asm.Half),
			asm.LoadMem(asm.R4, asm.R2, 2, asm.Half), asm.LoadMem(asm.R5, asm.R2, 8, asm.Half),
			asm.StoreMem(asm.R2, 2, asm.R5, asm.Half), asm.StoreMem(asm.R2, 8, asm.R4, asm.Half),
			asm.LoadMem(asm.R4, asm.R2, 4, asm.Half), asm.LoadMem(asm.R5, asm.R2, 10, asm.Half),
			asm.StoreMem(asm.R2, 4, asm.R5, asm.Half), asm.StoreMem(asm.R2, 10, asm.R4, asm.Half),
			asm.Mov.Imm(asm.R0, xdpTX),
			asm.Return().WithSymbol("exit"),
		},
		License: "GPL",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	return prog
}

// mirrored sends n frames from one host to another, one by one, and returns how
// many came back, each within a second.
func mirrored(t *testing.T, from, to *Host, n int) int {
	t.Helper()
	var conn *packet.Conn
	if err := from.Do(func() error {
		ifi, err := net.InterfaceByName(Interface)
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, etherTypeTest, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var back int
	buf := make([]byte, 1514)
	for i := range n {
		frame := &ethernet.Frame{
			Destination: to.MAC, Source: from.MAC, EtherType: etherTypeTest,
			Payload: binary.BigEndian.AppendUint32(nil, uint32(i)),
		}
		out, err := frame.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.WriteTo(out, &packet.Addr{HardwareAddr: to.MAC}); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.ReadFrom(buf); err != nil {
			// One that is lost is one too many; the others would wait as long.
			return back
		}
		back++
	}
	return back
}

// TestWhatXDPSendsBackArrives is what the ports' program is for.
func TestWhatXDPSendsBackArrives(t *testing.T) {
	l := ForTest(t, Options{})
	a, _ := l.Pair()
	prog := mirrorProgram(t)
	mirror := func() {
		t.Helper()
		if err := a.withLink(Interface, func(link netlink.Link) error {
			return netlink.LinkSetXdpFdWithFlags(link, prog.FD(), unix.XDP_FLAGS_DRV_MODE)
		}); err != nil {
			t.Fatal(err)
		}
	}
	const frames = 1000
	mirror()
	if back := mirrored(t, l.Client(), a, frames); back != frames {
		t.Errorf("%d of %d frames came back", back, frames)
	}
	t.Run("after the card was changed", func(t *testing.T) {
		if err := a.Unplug(); err != nil {
			t.Fatal(err)
		}
		if err := a.Plug(); err != nil {
			t.Fatal(err)
		}
		mirror()
		if back := mirrored(t, l.Client(), a, frames); back != frames {
			t.Errorf("%d of %d frames came back", back, frames)
		}
	})
}
