// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"os"
	"testing"

	"hafast/test/netns/sync/traffic"
)

func TestMain(m *testing.M) {
	traffic.Main()
	os.Exit(m.Run())
}
