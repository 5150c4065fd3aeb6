// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"slices"

	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// Changes of a frame: nothing but the two hardware addresses.

func redirected(to, from frames.MAC) func([]byte) []byte {
	return func(frame []byte) []byte {
		copy(frame, to[:])
		copy(frame[6:], from[:])
		return frame
	}
}

func toPeer(frame []byte) []byte { return redirected(rig.PeerMAC(), rig.SelfMAC())(frame) }
func toFar(frame []byte) []byte  { return redirected(rig.FarMAC(), rig.OtherMAC())(frame) }

// edited overwrites bytes of a copy.
func edited(frame []byte, at int, with ...byte) []byte {
	frame = slices.Clone(frame)
	copy(frame[at:], with)
	return frame
}

// shortened makes the IP header claim so many bytes behind it.
func shortened(f rig.Family, frame []byte, size int) []byte {
	if f.Is4() {
		size += 20
		return edited(frame, ethernetSize+2, byte(size>>8), byte(size))
	}
	return edited(frame, ethernetSize+4, byte(size>>8), byte(size))
}

// Offsets in frames without tags.
const (
	ethernetSize = 14
	tcp4At       = ethernetSize + 20
	tcp6At       = ethernetSize + 40
)

// l4At is where the transport header is.
func l4At(f rig.Family) int {
	if f.Is4() {
		return tcp4At
	}
	return tcp6At
}
