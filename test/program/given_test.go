// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"net/netip"
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/rig"
)

// given is a change of the world before a frame.
type given = func(*testing.T, *rig.World)

// all makes several changes.
func all(changes ...given) given {
	return func(t *testing.T, w *rig.World) {
		t.Helper()
		for _, change := range changes {
			change(t, w)
		}
	}
}

// tcpFlow is the flow of the client's packets to a port of the VIP.
func tcpFlow(f rig.Family, port uint16, place int) loader.Flow {
	return loader.Flow{
		Proto: loader.TCP, Place: place, Service: rig.ServiceID(port),
		Client: netip.AddrPortFrom(f.Client, rig.ClientPort), VIP: netip.AddrPortFrom(f.VIP, port),
	}
}

func udpFlow(f rig.Family, port uint16, place int) loader.Flow {
	flow := tcpFlow(f, port, place)
	flow.Proto = loader.UDP
	return flow
}

func closing(f loader.Flow) loader.Flow {
	f.Closing = true
	return f
}

// known puts flows into the table.
func known(flows ...loader.Flow) given {
	return func(t *testing.T, w *rig.World) {
		t.Helper()
		check(t, w.PutFlows(flows))
	}
}

// flagged changes what may be done with a target.
func flagged(place int, flags loader.TargetFlags) given {
	return func(t *testing.T, w *rig.World) {
		t.Helper()
		check(t, w.SetTargetFlags(place, flags))
	}
}

// drains: the target takes no new flows.
func drains(place int) given {
	flags := loader.TargetOld
	if place == rig.Self {
		flags |= loader.TargetLocal
	}
	return flagged(place, flags)
}

// dies: nothing goes to the target any more.
func dies(place int) given {
	if place == rig.Self {
		return flagged(place, loader.TargetLocal)
	}
	return flagged(place, 0)
}

// stale: the daemon has not renewed the lease for a while.
func stale(_ *testing.T, w *rig.World) { w.RenewLease(rig.Monotonic() - 1) }

// backup: another host is Active.
func backup(_ *testing.T, w *rig.World) { w.SetGate(rig.Gate, false) }

// outOfService: the host takes no new flows, and its reflector says so.
func outOfService(_ *testing.T, w *rig.World) { w.SetServing(false) }
