// SPDX-License-Identifier: Apache-2.0

// Package process is what the daemon asks of the kernel for itself, so that it acts in time on
// a busy host: memory that is not reclaimed, a place before others on the processors, timers
// that are not rounded, and a log that never waits for a disk.
package process
