// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrSpent says that a boot has no counters left: the daemon is to be started anew.
var ErrSpent = errors.New("no counter is left to seal with")

// Sealer makes datagrams. There is one for all peers, since they share the counters. It
// is not safe for concurrent use.
type Sealer struct {
	boot    uint64
	counter uint64 // of the last datagram
	id      uint32 // 0: not sealed
	aead    cipher.AEAD
	nonce   nonce
}

// NewSealer returns a Sealer for a start of the daemon. boot is random and not 0; it must
// never have been used with these keys before, as two Sealers of one boot would use the
// same nonces.
func NewSealer(ring *Keyring, boot uint64) (*Sealer, error) {
	if boot == 0 {
		return nil, errors.New("boot is 0")
	}
	s := &Sealer{boot: boot}
	return s, s.Rekey(ring)
}

// Rekey seals with other keys from now on. The counters go on. After an error the former
// key stays.
func (s *Sealer) Rekey(ring *Keyring) error {
	if !ring.Sealed() {
		s.id, s.aead = 0, nil
		return nil
	}
	aead, err := ring.keys[0].session(s.boot)
	if err != nil {
		return fmt.Errorf("make sealer: %w", err)
	}
	s.id, s.aead = ring.keys[0].id, aead
	return nil
}

// Boot returns the number of this start of the daemon.
func (s *Sealer) Boot() uint64 { return s.boot }

// Sealed reports whether datagrams are sealed; if not, they can carry hellos alone.
func (s *Sealer) Sealed() bool { return s.id != 0 }

// Seal appends a datagram with this body to dst, under a counter of its own. body begins
// with AppendTo; it must not overlap dst. The error is ErrSpent, and nothing is
// appended then.
func (s *Sealer) Seal(dst, body []byte) ([]byte, error) {
	if s.counter == maxCounter {
		return dst, ErrSpent
	}
	s.counter++
	start := len(dst)
	dst = append(dst, magic...)
	dst = append(dst, FormatVersion)
	dst = binary.BigEndian.AppendUint32(dst, s.id)
	dst = binary.BigEndian.AppendUint64(dst, s.boot)
	dst = binary.BigEndian.AppendUint64(dst, s.counter)
	if s.aead == nil {
		return append(dst, body...), nil
	}
	return s.aead.Seal(dst, s.nonce.set(s.counter), body, dst[start:]), nil
}
