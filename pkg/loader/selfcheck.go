// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
)

// selfCheck runs frames through the program that are for nobody's VIP, and demands
// that they pass as they are: a program that breaks everybody's traffic is not put
// into service. Their destinations are addresses that no VIP can have. They count as
// pass_other.
func selfCheck(program *ebpf.Program) error {
	const passVerdict = 2 // XDP_PASS
	for _, frame := range strangers() {
		verdict, out, err := program.Test(frame.bytes)
		if err != nil {
			return fmt.Errorf("self-check with %s: %w", frame.what, err)
		}
		if verdict != passVerdict {
			return fmt.Errorf("self-check: the program does not pass %s: verdict %d", frame.what, verdict)
		}
		if !bytes.Equal(out, frame.bytes) {
			return fmt.Errorf("self-check: the program changes %s", frame.what)
		}
	}
	return nil
}

type stranger struct {
	what  string
	bytes []byte
}

func strangers() []stranger {
	arp := ethernet(0x0806, 28)
	copy(arp[14:], []byte{0, 1, 0x08, 0, 6, 4, 0, 1}) // a request; all addresses are zero

	ipv4 := ethernet(0x0800, 40)
	copy(ipv4[14:], []byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, TCP})
	copy(ipv4[30:], []byte{255, 255, 255, 255})
	ipv4[14+20+13] = 0x02 // SYN

	ipv6 := ethernet(0x86dd, 60)
	copy(ipv6[14:], []byte{0x60, 0, 0, 0, 0, 20, TCP, 64})
	ipv6[14+40+13] = 0x02

	return []stranger{
		{"a frame of an unknown protocol", ethernet(0x88b5, 46)}, // IEEE 802 local experimental
		{"an ARP request for 0.0.0.0", arp},
		{"a TCP packet to 255.255.255.255", ipv4},
		{"a TCP packet to ::", ipv6},
	}
}

// ethernet is a frame with room for a payload of size bytes.
func ethernet(etherType uint16, size int) []byte {
	frame := make([]byte, 14+size)
	copy(frame, []byte{0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2})
	binary.BigEndian.PutUint16(frame[12:], etherType)
	return frame
}
