// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"

	"hafast/pkg/conntrack/record"
)

// A Begin is Table (1), Generation (4), how many addresses Scope has (2), and for each
// its size, 4 or 16 (1), and its bytes. An End is Table (1), Generation (4), Count (8).
// Each has a group to itself.
const (
	beginSize = 7 // without the scope
	endSize   = 13
	// MaxScope is how many addresses the Scope of a Begin can have.
	MaxScope = 3840
)

func (b Begin) size() int {
	size := beginSize
	for i := range b.Scope {
		size += 1 + addressSize(&b.Scope[i])
	}
	return size
}

func addressSize(a *record.Address) int {
	if is4(a) {
		return addr4Size
	}
	return addr6Size
}

func appendBegin(dst []byte, b Begin) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, byte(b.Table)), b.Generation)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b.Scope)))
	for i := range b.Scope {
		size := addressSize(&b.Scope[i])
		dst = append(append(dst, byte(size)), b.Scope[i][addr6Size-size:]...)
	}
	return dst
}

func checkBegin(body []byte) error {
	if len(body) < beginSize {
		return errSize
	}
	if !Table(body[0]).known() {
		return errTable
	}
	count, rest := int(binary.BigEndian.Uint16(body[5:])), body[beginSize:]
	if count > MaxScope {
		return errScope
	}
	for range count {
		if len(rest) == 0 {
			return errSize
		}
		size := int(rest[0])
		if size != addr4Size && size != addr6Size || len(rest) < 1+size {
			return errSize
		}
		rest = rest[1+size:]
	}
	if len(rest) > 0 {
		return errSize
	}
	return nil
}

// decodeBegin reads a Begin that has been checked.
func decodeBegin(body []byte) Begin {
	b := Begin{Table: Table(body[0]), Generation: binary.BigEndian.Uint32(body[1:])}
	if n := int(binary.BigEndian.Uint16(body[5:])); n > 0 {
		b.Scope = make([]record.Address, 0, n)
	}
	for rest := body[beginSize:]; len(rest) > 0; {
		size := int(rest[0])
		address := rest[1 : 1+size]
		if size == addr4Size {
			b.Scope = append(b.Scope, address4(address))
		} else {
			b.Scope = append(b.Scope, record.Address(address))
		}
		rest = rest[1+size:]
	}
	return b
}

func appendEnd(dst []byte, e End) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, byte(e.Table)), e.Generation)
	return binary.BigEndian.AppendUint64(dst, e.Count)
}

func checkEnd(body []byte) error {
	if len(body) != endSize {
		return errSize
	}
	if !Table(body[0]).known() {
		return errTable
	}
	return nil
}

// decodeEnd reads an End that has been checked.
func decodeEnd(body []byte) End {
	return End{
		Table: Table(body[0]), Generation: binary.BigEndian.Uint32(body[1:]), Count: binary.BigEndian.Uint64(body[5:]),
	}
}
