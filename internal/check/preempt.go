// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"

	"hafast/internal/config"
)

// preemption warns of checks that cannot move a VIP: they change the priority,
// and a Backup with preempt: false takes no notice of an Active's.
func (c *checker) preemption() {
	weights := map[string]int{}
	for _, s := range c.cfg.Scripts {
		weights[s.Name] = s.Weight
	}
	for i := range c.cfg.Instances {
		in := &c.cfg.Instances[i]
		script := func(t config.TrackScript) bool {
			if t.Weight != nil {
				return *t.Weight != 0
			}
			return weights[t.Name] != 0
		}
		weighted := c.cfg.HAProxy.Mode != config.HAProxyOff && c.cfg.HAProxy.Weight != 0 ||
			slices.ContainsFunc(in.Track.Scripts, script) ||
			slices.ContainsFunc(in.Track.Interfaces, func(t config.TrackInterface) bool { return t.Weight != 0 }) ||
			slices.ContainsFunc(in.Track.Files, func(t config.TrackFile) bool { return t.Weight != 0 }) ||
			slices.ContainsFunc(in.Track.Processes, func(t config.TrackProcess) bool { return t.Weight != 0 })
		if !in.Preempt && weighted {
			c.warning(instancePath(i)+".preempt",
				fmt.Sprintf("instance %s has preempt: false and checks with a weight, which never move its VIPs: a Backup leaves any Active in its place", in.Name),
				"write weight: 0, which takes the host out of service, or leave preempt out")
		}
	}
}
