// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// migration brings the flows of a table that is going out of use into the one that
// takes its place. It is done in two passes, as live migration of a machine is: the
// first copies everything while the old program serves, the second, after the swap,
// what has changed since.
type migration struct {
	name     string // of the table
	id       ebpf.MapID
	from, to *ebpf.Map
	since    uint32 // jiffies at the beginning of the first pass
}

// first copies all flows. Nobody uses the new table yet.
func (m *migration) first(t *ticks) (n int, err error) {
	if m.since, err = t.now(); err != nil {
		return 0, err
	}
	return m.run(copyAll[bpfFlow4Key], copyAll[bpfFlow6Key])
}

// second copies flows that have had a packet since the first pass began, unless the
// new program has seen a later one. Closing flows are among them, since it was a
// packet that closed them.
func (m *migration) second() (n int, err error) {
	newer := func(a, b uint32) bool { return int32(a-b) > 0 }
	return m.run(
		func(to, from *ebpf.Map) (int, error) { return copySince[bpfFlow4Key](to, from, m.since, newer) },
		func(to, from *ebpf.Map) (int, error) { return copySince[bpfFlow6Key](to, from, m.since, newer) },
	)
}

func (m *migration) run(four, six func(to, from *ebpf.Map) (int, error)) (n int, err error) {
	if flowKeys[bpfFlow4Key](m.from) {
		n, err = four(m.to, m.from)
	} else {
		n, err = six(m.to, m.from)
	}
	if err != nil {
		return n, fmt.Errorf("copy flows of %s: %w", m.name, err)
	}
	return n, nil
}

func copyAll[K any](to, from *ebpf.Map) (n int, err error) {
	err = eachBatch(from, func(keys []K, values []bpfFlow) error {
		for len(keys) > 0 {
			done, err := to.BatchUpdate(keys, values, nil)
			n += done
			if err == nil {
				return nil
			}
			if done == len(keys) || !errors.Is(err, unix.ENOMEM) {
				return err
			}
			keys, values = keys[done+1:], values[done+1:] // no entry could be evicted for this one
		}
		return nil
	})
	return n, err
}

func copySince[K any](to, from *ebpf.Map, since uint32, newer func(a, b uint32) bool) (n int, err error) {
	err = eachEntry(from, func(k *K, v *bpfFlow) error {
		if newer(since, v.Seen) {
			return nil
		}
		var there bpfFlow
		err := to.Lookup(k, &there)
		if err == nil && (there == *v || newer(there.Seen, v.Seen)) {
			return nil
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		if err := to.Put(k, v); err != nil && !errors.Is(err, unix.ENOMEM) {
			return err
		}
		n++
		return nil
	})
	return n, err
}
