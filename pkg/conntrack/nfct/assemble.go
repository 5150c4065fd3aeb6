// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// From linux/filter.h: what looks like a load from these places searches a netlink
// message for an attribute, from the offset in A, for the type in X. The result is
// the attribute's offset in A, or 0.
const (
	adNLAttr     = ^uint32(0xfff) + 12 // SKF_AD_OFF + SKF_AD_NLATTR
	adNLAttrNest = ^uint32(0xfff) + 16 // within the attribute at A
)

// program is a classic BPF program that is being written. Labels may be used before
// they are set.
type program struct {
	code   []unix.SockFilter
	labels map[string]int
	// jumps are the unconditional jumps whose targets are known by name so far.
	jumps map[int]string
}

func (p *program) add(code uint16, k uint32) {
	p.code = append(p.code, unix.SockFilter{Code: code, K: k})
}

func (p *program) label(name string) {
	if p.labels == nil {
		p.labels = map[string]int{}
	}
	p.labels[name] = len(p.code)
}

// fresh is the name of a label that has not been used.
func (p *program) fresh() string { return fmt.Sprint("at ", len(p.code)) }

func (p *program) jump(target string) {
	if p.jumps == nil {
		p.jumps = map[int]string{}
	}
	p.jumps[len(p.code)] = target
	p.add(unix.BPF_JMP|unix.BPF_JA, 0)
}

// link resolves the labels. Jumps go forward only.
func (p *program) link() []unix.SockFilter {
	for at, target := range p.jumps {
		p.code[at].K = uint32(p.labels[target] - at - 1)
	}
	return p.code
}

// Conditional jumps reach no further than 255 instructions: they jump over, or to, an
// unconditional one, which reaches everywhere.

func (p *program) when(test uint16, k uint32, target string) {
	p.code = append(p.code, unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, Jf: 1, K: k})
	p.jump(target)
}

func (p *program) ifEqual(k uint32, target string)   { p.when(unix.BPF_JEQ, k, target) }
func (p *program) ifSet(k uint32, target string)     { p.when(unix.BPF_JSET, k, target) }
func (p *program) ifGreater(k uint32, target string) { p.when(unix.BPF_JGT, k, target) }

func (p *program) unlessEqual(k uint32, target string) {
	p.code = append(p.code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: k})
	p.jump(target)
}

func (p *program) load(size uint16, offset uint32) {
	p.add(unix.BPF_LD|size|unix.BPF_ABS, offset)
}

// loadValue loads the beginning of the value of the attribute whose offset is in A.
func (p *program) loadValue(size uint16) {
	p.add(unix.BPF_MISC|unix.BPF_TAX, 0)
	p.add(unix.BPF_LD|size|unix.BPF_IND, unix.NLA_HDRLEN)
}

func (p *program) constant(k uint32) { p.add(unix.BPF_LD|unix.BPF_IMM, k) }
func (p *program) store(mem uint32)  { p.add(unix.BPF_ST, mem) }
func (p *program) recall(mem uint32) { p.add(unix.BPF_LD|unix.BPF_MEM, mem) }
func (p *program) recallX(mem uint32) {
	p.add(unix.BPF_LDX|unix.BPF_MEM, mem)
}

func (p *program) ret(k uint32) { p.add(unix.BPF_RET|unix.BPF_K, k) }

// attr finds an attribute of the message, and jumps to absent without it.
func (p *program) attr(typ uint32, absent string) {
	p.constant(offAttrs)
	p.find(adNLAttr, typ, absent)
}

// nested finds an attribute within the one whose offset is in A.
func (p *program) nested(absent string, typ uint32) {
	p.find(adNLAttrNest, typ, absent)
}

func (p *program) find(how, typ uint32, absent string) {
	p.add(unix.BPF_LDX|unix.BPF_IMM, typ)
	p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, how)
	p.ifEqual(0, absent)
}
