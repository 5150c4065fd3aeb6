// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"github.com/gopacket/gopacket/layers"
)

// BFD is a control packet (RFC 5880 section 4.1).
type BFD = layers.BFD

// Bytes serializes a control packet.
func Bytes(b BFD) []byte { return serialize(&b) }

// Fields of a control packet.
type (
	Discriminator = layers.BFDDiscriminator
	State         = layers.BFDState
)
