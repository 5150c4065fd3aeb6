// SPDX-License-Identifier: Apache-2.0

package steering

// member is a target in its table.
type member struct {
	addr  [16]byte // IPv4 as ::ffff:a.b.c.d, without zone: zones are a host's own
	place uint8
}

// turn is a member choosing slots: at, at+step, at+2*step, ... modulo Size.
type turn struct {
	at, step uint32
	place    uint8
}

// fill makes the table of the members, which are sorted by address and distinct.
// Without any, each slot is NoTarget. This is the paper's pseudocode 1, with the
// permutations worked out as they are needed: a member wants few of its slots.
func fill(members []member) []uint8 {
	table := make([]uint8, Size)
	for i := range table {
		table[i] = NoTarget
	}
	if len(members) == 0 {
		return table
	}
	turns := make([]turn, len(members))
	for i, m := range members {
		offset, skip := preference(m.addr)
		turns[i] = turn{at: offset, step: skip, place: m.place}
	}
	for left := Size; ; {
		for i := range turns {
			t := &turns[i]
			for table[t.at] != NoTarget {
				t.advance()
			}
			table[t.at] = t.place
			if left--; left == 0 {
				return table
			}
			t.advance()
		}
	}
}

func (t *turn) advance() {
	if t.at += t.step; t.at >= Size {
		t.at -= Size
	}
}

// preference is where an address begins to choose and by what steps it goes on:
// 0 <= offset < Size, 1 <= skip < Size. Both are part of what hosts of different
// versions must agree on: a change moves flows during every upgrade.
func preference(addr [16]byte) (offset, skip uint32) {
	h := fnv1a(addr)
	offset = uint32(scramble(h) % Size)
	skip = uint32(scramble(h+0x9e3779b97f4a7c15)%(Size-1)) + 1
	return offset, skip
}

// fnv1a is the 64-bit FNV-1a hash. It keeps neighbouring addresses apart, though
// not well: scramble sees to that.
func fnv1a(addr [16]byte) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, b := range addr {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	return h
}

// scramble is the finalizer of SplitMix64: each bit of the input changes half of
// the output's.
func scramble(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
