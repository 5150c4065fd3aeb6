// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// keepBusy has so many threads compute until stop is called, which returns when they have
// ended. They are further ones: whatever else this process does has its own.
func keepBusy(threads int) (stop func()) {
	before := runtime.GOMAXPROCS(runtime.NumCPU() + threads)
	var over atomic.Bool
	var group sync.WaitGroup
	for range threads {
		group.Go(func() {
			for !over.Load() {
			}
		})
	}
	return func() {
		over.Store(true)
		group.Wait()
		runtime.GOMAXPROCS(before)
	}
}
