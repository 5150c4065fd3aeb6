// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Mend makes a frame's checksums right and leaves all else. It returns nil for what
// does not decode, or would come out in another shape.
func Mend(frame []byte) []byte {
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if p.ErrorLayer() != nil || p.Metadata().Truncated {
		return nil
	}
	var chain []gopacket.SerializableLayer
	for _, l := range p.Layers() {
		s, ok := l.(gopacket.SerializableLayer)
		if !ok {
			return nil
		}
		if t, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok && p.NetworkLayer() != nil {
			if t.SetNetworkLayerForChecksum(p.NetworkLayer()) != nil {
				return nil
			}
		}
		chain = append(chain, s)
	}
	b := gopacket.NewSerializeBuffer()
	if gopacket.SerializeLayers(b, gopacket.SerializeOptions{ComputeChecksums: true}, chain...) != nil {
		return nil
	}
	if len(b.Bytes()) != len(frame) || Verify(b.Bytes()) != nil {
		return nil
	}
	return b.Bytes()
}
