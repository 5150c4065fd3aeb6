// SPDX-License-Identifier: Apache-2.0

package record

import "time"

// FlowKey names a flow as its packets to the VIP have it. It holds no pointers, so
// that a map of a million keys costs the garbage collector nothing.
type FlowKey struct {
	Client, VIP         Address
	ClientPort, VIPPort uint16
	Proto               uint8 // IP protocol number: TCP or UDP
}

// Flow is an entry of the XDP flow table, less what is of one host only: numbers of
// places, hardware addresses, clocks.
type Flow struct {
	Key FlowKey
	// Target is the address of the host whose haproxy has the flow.
	Target Address
	// Closing: a FIN or RST has gone by.
	Closing bool
	// Idle is the time since the flow's last packet; it travels in whole seconds, 18
	// hours at most.
	Idle time.Duration
}
