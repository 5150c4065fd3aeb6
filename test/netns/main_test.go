// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"os"
	"testing"

	"hafast/test/netns/takeover"
)

// TestMain lets the test binary be the load client when it is started as such.
func TestMain(m *testing.M) {
	takeover.ClientMain()
	os.Exit(m.Run())
}
