// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// memory is an array map with values of type T, mapped into this process: a store is
// seen by the program at once, without a system call.
//
// It is unmapped when nothing refers to it any more, not by Close, so that whoever
// still has a handle writes to a map and not into the void.
type memory[T any] struct {
	bytes  []byte
	stride uintptr
}

func mapMemory[T any](m *ebpf.Map) (*memory[T], error) {
	stride := (uintptr(m.ValueSize()) + 7) &^ 7
	if unsafe.Sizeof(*new(T)) != uintptr(m.ValueSize()) {
		return nil, fmt.Errorf("map %v: values of %d bytes", m, m.ValueSize())
	}
	page := os.Getpagesize()
	size := (int(stride)*int(m.MaxEntries()) + page - 1) / page * page
	b, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %v into memory: %w", m, err)
	}
	mem := &memory[T]{bytes: b, stride: stride}
	runtime.AddCleanup(mem, func(b []byte) { _ = unix.Munmap(b) }, b)
	return mem, nil
}

// use calls f with entry i, which must not be kept.
func (m *memory[T]) use(i int, f func(*T)) {
	at := uintptr(i) * m.stride
	f((*T)(unsafe.Pointer(&m.bytes[at : at+m.stride][0])))
	runtime.KeepAlive(m)
}

// all calls f with all entries, which must not be kept. Their size is a multiple of 8.
func (m *memory[T]) all(f func([]T)) {
	f(unsafe.Slice((*T)(unsafe.Pointer(&m.bytes[0])), len(m.bytes)/int(m.stride)))
	runtime.KeepAlive(m)
}

// grace waits until every packet that was in the program when it was called has left
// it: 10 to 20 ms.
//
// The program runs within an RCU read-side critical section, and membarrier's global
// command is, beside what it is named for, synchronize_rcu (kernel/sched/membarrier.c
// since Linux 4.3). Where it is not to be had (nohz_full, seccomp), waiting far longer
// than a packet takes must do.
func grace() {
	const membarrierGlobal = 1
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
		time.Sleep(50 * time.Millisecond)
	}
}
