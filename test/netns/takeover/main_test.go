// SPDX-License-Identifier: Apache-2.0

package takeover_test

import (
	"os"
	"testing"

	"hafast/test/netns/takeover"
)

func TestMain(m *testing.M) {
	takeover.ClientMain()
	os.Exit(m.Run())
}
