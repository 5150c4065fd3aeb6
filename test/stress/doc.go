// SPDX-License-Identifier: Apache-2.0

// Command stress runs the tests of some packages many times on a busy machine, each time
// in another order, and says which failed how often: a test that fails once in twenty
// runs is found by what it does, and not by chance in somebody's change.
//
//	for each package, N times:          meanwhile, in threads of this process:
//
//	  go test -json -race -shuffle=on     busy  busy  ...   one for each processor
//	        │ events
//	        v
//	      outcome: tests that failed, and the first line of why
//	        │
//	        v
//	  table: package, test, failures of runs, first line
//
// The processors are kept busy by this process itself, so that nothing is left running
// when it ends, however it ends. The whole output of each run that failed is kept in a
// file, with the seed of its order.
package main
