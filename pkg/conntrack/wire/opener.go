// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/cipher"
	"encoding/binary"
	"slices"
	"time"
)

const (
	// derivations is how many unknown boots of a peer are tried per second. A key's id
	// is no secret: anyone can send datagrams that take a derivation to find out that
	// they are forged.
	derivations = 256
	// retiredBoots is how many earlier boots of a peer are remembered.
	retiredBoots = 64
)

// Opener judges the datagrams of one peer. It is not safe for concurrent use.
type Opener struct {
	ring *Keyring
	own  uint64

	// live is the boot that has proved to be the peer's present one, candidate another
	// one that was heard since; each may be nil.
	live, candidate *source
	retired         [retiredBoots]uint64
	oldest          int

	// tried unknown boots since second.
	tried  int
	second time.Time

	nonce nonce
}

// source is a boot of the peer: what opens its datagrams, and which have come.
type source struct {
	boot  uint64
	aeads [MaxKeys]cipher.AEAD // in the order of the keyring; nil: not derived yet
	window
}

// Opened is what was in a datagram.
type Opened struct {
	// Boot is its sender's start.
	Boot uint64
	// Ours tells that the datagram is addressed to this start of this host. If it is
	// not, its parts count for nothing; if Boot is not the Opener's either, it is
	// answered with a hello to that Boot, which is how sessions begin.
	Ours bool
	// Parts is well-formed, and lies in the datagram's memory.
	Parts Parts
}

// NewOpener returns an Opener for the datagrams of a peer to this host, whose boot is
// own.
func NewOpener(ring *Keyring, own uint64) *Opener {
	return &Opener{ring: ring, own: own}
}

// Rekey opens with other keys from now on. The session goes on.
func (o *Opener) Rekey(ring *Keyring) {
	o.ring = ring
	for _, s := range []*source{o.live, o.candidate} {
		if s != nil {
			s.aeads = [MaxKeys]cipher.AEAD{}
		}
	}
}

// Live returns the peer's boot that has proved to be its present one, 0 if none has.
func (o *Opener) Live() uint64 {
	if o.live == nil {
		return 0
	}
	return o.live.boot
}

// To returns the boot that datagrams to the peer are to be addressed to: the live one,
// without one the one that was heard last, 0 if none ever was.
func (o *Opener) To() uint64 {
	if o.live == nil && o.candidate != nil {
		return o.candidate.boot
	}
	return o.Live()
}

// Open authenticates a datagram, decrypting it in place. The error is a Reject; nothing
// but the count of derivations has changed then.
func (o *Opener) Open(now time.Time, datagram []byte) (Opened, error) {
	h, err := o.header(datagram)
	if err != nil {
		return Opened{}, err
	}
	s := o.source(h.boot)
	if s != nil && !s.fresh(h.counter) {
		return Opened{}, RejectReplay
	}
	if s == nil {
		if h.key >= 0 && !o.mayDerive(now) {
			return Opened{}, RejectLimit
		}
		s = &source{boot: h.boot}
	}
	body := datagram[HeaderSize:]
	if h.key >= 0 {
		if body, err = o.decrypt(s, h, datagram); err != nil {
			return Opened{}, RejectAuth
		}
	}
	to, parts, err := splitBody(body, h.key >= 0)
	if err != nil {
		return Opened{}, err
	}
	s.note(h.counter)
	o.heard(s, to == o.own)
	return Opened{Boot: h.boot, Ours: to == o.own, Parts: parts}, nil
}

// decrypt authenticates a datagram and returns its body, in the datagram's memory.
func (o *Opener) decrypt(s *source, h header, datagram []byte) ([]byte, error) {
	aead := &s.aeads[h.key]
	if *aead == nil {
		var err error
		if *aead, err = o.ring.keys[h.key].session(h.boot); err != nil {
			return nil, err
		}
	}
	body := datagram[HeaderSize:]
	return (*aead).Open(body[:0], o.nonce.set(h.counter), body, datagram[:HeaderSize])
}

// header is what can be seen without a key.
type header struct {
	key           int // place in the keyring; -1: not sealed
	boot, counter uint64
}

// header judges a datagram by its header alone.
func (o *Opener) header(datagram []byte) (header, error) {
	if len(datagram) < HeaderSize {
		return header{}, RejectShort
	}
	h := header{
		key:     -1,
		boot:    binary.BigEndian.Uint64(datagram[atBoot:]),
		counter: binary.BigEndian.Uint64(datagram[atCounter:]),
	}
	id := binary.BigEndian.Uint32(datagram[atKey:])
	switch {
	case string(datagram[:len(magic)]) != magic:
		return header{}, RejectMagic
	case datagram[atVersion] != FormatVersion:
		return header{}, RejectVersion
	case h.boot == 0 || h.counter == 0 || h.counter > maxCounter:
		return header{}, RejectHeader
	case id == 0 && o.ring.Sealed():
		return header{}, RejectUnsealed
	case id != 0 && !o.ring.Sealed():
		return header{}, RejectSealed
	case id != 0 && len(datagram) < HeaderSize+TagSize:
		return header{}, RejectShort
	}
	if id != 0 {
		place, ok := o.ring.find(id)
		if !ok {
			return header{}, RejectKey
		}
		h.key = place
	}
	switch {
	case h.boot == o.own:
		return header{}, RejectOwn
	case slices.Contains(o.retired[:], h.boot):
		return header{}, RejectOldBoot
	}
	return h, nil
}

// source returns what is known of a boot, nil if nothing is.
func (o *Opener) source(boot uint64) *source {
	switch {
	case o.live != nil && o.live.boot == boot:
		return o.live
	case o.candidate != nil && o.candidate.boot == boot:
		return o.candidate
	}
	return nil
}

// mayDerive takes one of this second's derivations.
func (o *Opener) mayDerive(now time.Time) bool {
	if now.Sub(o.second) >= time.Second {
		o.second, o.tried = now, 0
	}
	if o.tried == derivations {
		return false
	}
	o.tried++
	return true
}

// heard books an authentic datagram. Only one that is addressed to this start of this
// host can make its sender's boot the live one: an old recording cannot be.
func (o *Opener) heard(s *source, ours bool) {
	switch {
	case s == o.live:
	case !ours:
		o.candidate = s
	default:
		if o.live != nil {
			o.retired[o.oldest] = o.live.boot
			o.oldest = (o.oldest + 1) % retiredBoots
		}
		o.live, o.candidate = s, nil
	}
}
