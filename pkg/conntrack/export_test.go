// SPDX-License-Identifier: Apache-2.0

package conntrack

// SetVersions has an engine speak other versions than this package does.
func (e *Engine) SetVersions(lowest, highest uint8) {
	e.greeting.Lowest, e.greeting.Highest = lowest, highest
}
