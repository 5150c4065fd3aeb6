// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// KeySize is the length of a pre-shared key in bytes.
	KeySize = 32
	// MaxKeys can be live at a time.
	MaxKeys = 2

	infoKeyID   = "hafast sync key id 1"
	infoSession = "hafast sync 1"
)

// Keyring is the live pre-shared keys: the first one seals, all of them open. Without
// any, datagrams are not sealed and carry hellos alone. A Keyring does not change and
// may be shared.
type Keyring struct {
	keys []key
}

type key struct {
	id     uint32 // never 0
	secret [KeySize]byte
}

// NewKeyring takes none, one or two keys of KeySize bytes, as config.ReadKeys returns
// them. It refuses keys that a receiver could not tell apart by their ids; of keys drawn
// at random, one in four thousand million.
func NewKeyring(keys ...[]byte) (*Keyring, error) {
	if len(keys) > MaxKeys {
		return nil, fmt.Errorf("%d sync keys, more than %d", len(keys), MaxKeys)
	}
	ring := &Keyring{}
	for _, secret := range keys {
		if len(secret) != KeySize {
			return nil, fmt.Errorf("sync key of %d bytes, not %d", len(secret), KeySize)
		}
		id, err := keyID(secret)
		if err != nil {
			return nil, err
		}
		if _, ok := ring.find(id); ok || id == 0 {
			return nil, errors.New("sync key cannot be told from another by its id: draw a new one")
		}
		ring.keys = append(ring.keys, key{id: id, secret: [KeySize]byte(secret)})
	}
	return ring, nil
}

// Sealed reports whether there is a key.
func (r *Keyring) Sealed() bool { return len(r.keys) > 0 }

// IDs are what the keys are told apart by on the wire, that of the one that seals first.
func (r *Keyring) IDs() []uint32 {
	ids := make([]uint32, len(r.keys))
	for i := range r.keys {
		ids[i] = r.keys[i].id
	}
	return ids
}

// String keeps the secrets out of logs.
func (r *Keyring) String() string { return fmt.Sprintf("%d keys", len(r.keys)) }

// find returns the place of the key with an id.
func (r *Keyring) find(id uint32) (int, bool) {
	for i := range r.keys {
		if r.keys[i].id == id {
			return i, true
		}
	}
	return 0, false
}

func keyID(secret []byte) (uint32, error) {
	id, err := hkdf.Key(sha256.New, secret, nil, infoKeyID, 4)
	if err != nil {
		return 0, fmt.Errorf("derive key id: %w", err)
	}
	return binary.BigEndian.Uint32(id), nil
}

// session returns what seals and opens the datagrams of a boot.
func (k *key) session(boot uint64) (cipher.AEAD, error) {
	secret, err := k.sessionKey(boot)
	if err != nil {
		return nil, fmt.Errorf("derive session key: %w", err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("use session key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("use session key: %w", err)
	}
	return aead, nil
}

func (k *key) sessionKey(boot uint64) ([]byte, error) {
	return hkdf.Key(sha256.New, k.secret[:], binary.BigEndian.AppendUint64(nil, boot), infoSession, KeySize)
}

// nonce is four zero bytes and the counter.
type nonce [12]byte

func (n *nonce) set(counter uint64) []byte {
	binary.BigEndian.PutUint64(n[4:], counter)
	return n[:]
}
