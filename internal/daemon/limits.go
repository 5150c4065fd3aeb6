// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"hafast/internal/bfd"
	"hafast/internal/steering"
	"hafast/pkg/loader"
)

// The pure packages know nothing of the data path, and have limits and numbers of their
// own. These fail to compile when they are not those that the XDP program is built
// with; pkg/loader's tests hold its numbers against bpf/abi.h.
var (
	_ [loader.MaxTargets]struct{} = [steering.MaxTargets]struct{}{}
	_ [loader.MaxSets]struct{}    = [steering.MaxSets]struct{}{}
	_ [loader.TableSize]struct{}  = [steering.Size]struct{}{}
	_ [loader.NoTarget]struct{}   = [steering.NoTarget]struct{}{}
	_ [loader.NoSet]struct{}      = [steering.NoSet]struct{}{}
	_ [loader.MaxPeers]struct{}   = [bfd.MaxPeers]struct{}{}
	// Each target but this host is probed.
	_ [bfd.MaxPeers - (steering.MaxTargets - 1)]struct{}
)
