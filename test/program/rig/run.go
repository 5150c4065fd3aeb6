// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"

	"github.com/cilium/ebpf"

	"hafast/pkg/loader"
)

// Verdict is what an XDP program returns: enum xdp_action of linux/bpf.h.
type Verdict uint32

// The verdicts.
const (
	Aborted Verdict = iota
	Drop
	Pass
	TX
	Redirect
)

func (v Verdict) String() string {
	names := [...]string{"ABORTED", "DROP", "PASS", "TX", "REDIRECT"}
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("verdict %d", uint32(v))
}

// spare is room behind a frame, should the program make it longer.
const spare = 256

// Run runs a frame through the program once and returns what has become of it.
func (w *World) Run(frame []byte) (v Verdict, out []byte, err error) {
	w.Do(func() {
		opts := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+spare)}
		var ret uint32
		ret, err = w.Program().Run(&opts)
		v, out = Verdict(ret), opts.DataOut
	})
	if err != nil {
		return 0, nil, fmt.Errorf("test-run: %w", err)
	}
	return v, out, nil
}

// Flood runs a frame n times, each time as next leaves it, and stops at an error. The
// world's thread does nothing else meanwhile.
func (w *World) Flood(frame []byte, n int, next func(frame []byte)) (verdicts map[Verdict]int, err error) {
	verdicts = make(map[Verdict]int)
	w.Do(func() {
		opts := ebpf.RunOptions{Data: frame}
		for range n {
			next(frame)
			var ret uint32
			if ret, err = w.Program().Run(&opts); err != nil {
				err = fmt.Errorf("test-run: %w", err)
				return
			}
			verdicts[Verdict(ret)]++
		}
	})
	return verdicts, err
}

// Moved is by how much the counters differ, by reason.
func Moved(before, after loader.Counters) map[loader.Reason]uint64 {
	moved := make(map[loader.Reason]uint64)
	for r := range after {
		if n := after[r] - before[r]; n != 0 {
			moved[loader.Reason(r)] = n
		}
	}
	return moved
}
