// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
)

// entryReader reads a flow table in pieces.
//
// The kernel walks a hash table bucket by bucket, and entries do not change their
// bucket: an iteration in batches ends even while packets add and remove entries, and
// sees what stays exactly once.
type entryReader[K any] struct {
	m      *ebpf.Map
	cursor ebpf.MapBatchCursor
}

func readerOf[K any](m *ebpf.Map) entryReader[K] { return entryReader[K]{m: m} }

// next fills both slices, which have the same length. ended: these were the last ones.
func (r *entryReader[K]) next(keys []K, values []bpfFlow) (n int, ended bool, err error) {
	n, err = r.m.BatchLookup(&r.cursor, keys, values, nil)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return n, true, nil
	}
	return n, false, err
}

// eachBatch calls f with up to batch entries at a time. The slices are used again.
func eachBatch[K any](m *ebpf.Map, f func(keys []K, values []bpfFlow) error) error {
	r := readerOf[K](m)
	keys, values := make([]K, batch), make([]bpfFlow, batch)
	for {
		n, ended, err := r.next(keys, values)
		if err != nil {
			return err
		}
		if err := f(keys[:n], values[:n]); err != nil {
			return err
		}
		if ended {
			return nil
		}
	}
}

// eachEntry calls f with every entry until it fails.
func eachEntry[K any](m *ebpf.Map, f func(*K, *bpfFlow) error) error {
	return eachBatch(m, func(keys []K, values []bpfFlow) error {
		for i := range keys {
			if err := f(&keys[i], &values[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// countEntries counts what is in a flow table, of whatever layout.
func countEntries(m *ebpf.Map) (n int, err error) {
	switch {
	case flowKeys[bpfFlow4Key](m):
		err = eachBatch(m, func(keys []bpfFlow4Key, _ []bpfFlow) error { n += len(keys); return nil })
	case flowKeys[bpfFlow6Key](m):
		err = eachBatch(m, func(keys []bpfFlow6Key, _ []bpfFlow) error { n += len(keys); return nil })
	default:
		var key, value []byte
		all := m.Iterate()
		for all.Next(&key, &value) {
			n++
		}
		err = all.Err()
	}
	return n, err
}

// flowKeys reports whether a map has flows under keys of type K.
func flowKeys[K any](m *ebpf.Map) bool {
	return uintptr(m.KeySize()) == unsafe.Sizeof(*new(K)) && uintptr(m.ValueSize()) == unsafe.Sizeof(bpfFlow{})
}

// deleteFlows deletes the entries that drop tells, and adds their number to n.
func deleteFlows[K any](m *ebpf.Map, n *int, drop func(*K, *bpfFlow) bool) error {
	var doomed []K
	err := eachEntry(m, func(k *K, v *bpfFlow) error {
		if drop(k, v) {
			doomed = append(doomed, *k)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read flows: %w", err)
	}
	for len(doomed) > 0 {
		deleted, err := m.BatchDelete(doomed[:min(batch, len(doomed))], nil)
		*n += deleted
		doomed = doomed[deleted:]
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist): // evicted meanwhile
			doomed = doomed[1:]
		case err != nil:
			return fmt.Errorf("delete flows: %w", err)
		}
	}
	return nil
}

// entries are flows on their way into a table.
type entries[K any] struct {
	keys   []K
	values []bpfFlow
}

func (e *entries[K]) add(k K, v bpfFlow) {
	e.keys = append(e.keys, k)
	e.values = append(e.values, v)
}

func (e *entries[K]) put(m *ebpf.Map) error {
	for i := 0; i < len(e.keys); i += batch {
		end := min(i+batch, len(e.keys))
		if _, err := m.BatchUpdate(e.keys[i:end], e.values[i:end], nil); err != nil {
			return err
		}
	}
	return nil
}
