// SPDX-License-Identifier: Apache-2.0

//go:build race

package conntrack_test

// raceEnabled tells that the race detector makes everything some ten times slower.
const raceEnabled = true
