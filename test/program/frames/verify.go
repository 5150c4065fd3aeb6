// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"errors"
	"fmt"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Verify says what is wrong with the checksums or lengths of a frame. Headers that
// are not there are not missed: what has none is sound.
func Verify(frame []byte) error {
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if fail := p.ErrorLayer(); fail != nil {
		return fmt.Errorf("does not decode: %w", fail.Error())
	}
	if p.Metadata().Truncated {
		return errors.New("a length says more than there is")
	}
	for _, l := range p.Layers() {
		t, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		})
		if !ok {
			continue
		}
		n := p.NetworkLayer()
		if n == nil {
			continue
		}
		if err := t.SetNetworkLayerForChecksum(n); err != nil {
			return err
		}
	}
	err, wrong := p.VerifyChecksums()
	if err != nil {
		return fmt.Errorf("checksums: %w", err)
	}
	for _, m := range wrong {
		return fmt.Errorf("checksum of %v is %#x, should be %#x", m.Layer.LayerType(), m.Actual, m.Correct)
	}
	return nil
}
