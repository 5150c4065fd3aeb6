// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	xdplink "github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/pin"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"hafast/internal/control"
	"hafast/internal/link"
	"hafast/pkg/loader"
)

// TryXDP implements [DataPath].
func (system) TryXDP() ([]loader.Lack, error) { return loader.Try() }

// OnBPFFS implements [DataPath].
func (system) OnBPFFS(dir string) (bool, error) { return loader.OnBPFFS(dir) }

// PrivateBPFFS implements [DataPath].
func (system) PrivateBPFFS(dir string) (bool, error) { return loader.PrivateBPFFS(dir) }

// XDP implements [DataPath].
func (system) XDP(device, bpfDir string) (XDP, error) {
	l, err := netlink.LinkByName(device)
	if err != nil {
		return XDP{}, fmt.Errorf("read interface: %w", err)
	}
	x := XDP{Driver: loader.Driver(device), Obstacles: loader.Obstacles(device)}
	if x.Native, err = native(l.Attrs().Index); err != nil {
		return XDP{}, err
	}
	if loader.NeverNative(device) {
		x.Native = NativeNo // what the kernel says is about the driver, not about this card
	}
	if now := l.Attrs().Xdp; now != nil && now.Attached {
		x.Program = &Program{ID: now.ProgId}
		if now.ProgId != 0 {
			x.Program.Name = programName(ebpf.ProgramID(now.ProgId))
			if x.Program.Own, err = pinned(bpfDir, ebpf.ProgramID(now.ProgId)); err != nil {
				return XDP{}, err
			}
		}
	}
	return x, nil
}

// From linux/netdev.h.
const (
	netdevCmdDevGet      = 1
	netdevDevIfindex     = 1
	netdevDevXDPFeatures = 3
	netdevXDPActBasic    = 1 // the driver runs programs, and knows PASS, DROP, TX and ABORTED
)

// native asks the generic netlink family netdev (Linux 6.3) what the driver can.
func native(ifindex int) (Native, error) {
	family, err := netlink.GenlFamilyGet("netdev")
	if errors.Is(err, unix.ENOENT) {
		return NativeUnknown, nil
	}
	if err != nil {
		return NativeUnknown, fmt.Errorf("find netlink family netdev: %w", err)
	}
	request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	// By hand: nl.Genlmsg sends two bytes of somebody else's memory as the reserved
	// ones, which the kernel wants to be 0.
	request.AddRawData([]byte{netdevCmdDevGet, uint8(family.Version), 0, 0})
	request.RawData = append(request.RawData, nl.NewRtAttr(netdevDevIfindex, nl.Uint32Attr(uint32(ifindex))).Serialize()...)
	answers, err := request.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return NativeUnknown, fmt.Errorf("ask for the driver's XDP features: %w", err)
	}
	for _, answer := range answers {
		if len(answer) < nl.SizeofGenlmsg {
			continue
		}
		attrs, err := nl.ParseRouteAttr(answer[nl.SizeofGenlmsg:])
		if err != nil {
			return NativeUnknown, fmt.Errorf("read the driver's XDP features: %w", err)
		}
		for _, attr := range attrs {
			if attr.Attr.Type == netdevDevXDPFeatures && len(attr.Value) == 8 {
				if binary.NativeEndian.Uint64(attr.Value)&netdevXDPActBasic != 0 {
					return NativeYes, nil
				}
				return NativeNo, nil
			}
		}
	}
	return NativeUnknown, nil
}

// programName is empty where it cannot be found out.
func programName(id ebpf.ProgramID) string {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return ""
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

// pinned reports whether a program, or a link that holds it, is pinned below dir.
func pinned(dir string, id ebpf.ProgramID) (bool, error) {
	if on, err := loader.OnBPFFS(dir); err != nil || !on {
		return false, err
	}
	for p, err := range pin.WalkDir(dir, nil) {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read %s: %w", dir, err)
		}
		switch object := p.Object.(type) {
		case *ebpf.Program:
			if info, err := object.Info(); err == nil {
				if of, ok := info.ID(); ok && of == id {
					return true, nil
				}
			}
		case xdplink.Link:
			if info, err := object.Info(); err == nil && info.Program == id {
				return true, nil
			}
		}
	}
	return false, nil
}

// askTimeout bounds the question to a daemon.
const askTimeout = 5 * time.Second

// Legs implements [DataPath].
func (system) Legs(socket string) ([]Leg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	st, err := control.NewClient(socket).Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	var legs []Leg
	for _, t := range st.Targets {
		addr, err := netip.ParseAddr(t.Address)
		if err == nil && !t.Self && t.State == control.StateUp {
			legs = append(legs, Leg{Peer: addr, Reason: t.LegReason})
		}
	}
	return legs, nil
}

// OnLink implements [DataPath].
func (system) OnLink(addr netip.Addr) (bool, error) {
	conn, err := link.Open()
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	_, on, err := conn.OnLink(addr)
	return on, err
}
