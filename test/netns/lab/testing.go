// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"os"
	"os/exec"
)

// RequireVariable names the environment variable that turns skips for want of
// root or programs into failures.
const RequireVariable = "HAFAST_REQUIRE_NETNS"

// TB is the part of testing.TB that is used here; programs other than tests
// import this package, too.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skip(args ...any)
}

// ForTest builds a lab that is removed at the end of the test. Without root
// the test is skipped, and fails where namespaces are required.
func ForTest(t TB, opts Options) *Lab {
	t.Helper()
	SkipUnlessRoot(t)
	SkipUnlessInstalled(t, "ip", "nsenter", "ethtool", "haproxy", "nginx")
	l, err := New(t.Context(), opts)
	if err != nil {
		t.Fatalf("build the lab: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return l
}

// SkipUnlessRoot skips a test that needs namespaces where there is no root, and
// fails it where namespaces are required.
func SkipUnlessRoot(t TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, ErrNotRoot)
	}
}

// SkipUnlessInstalled skips a test that needs programs that are not there, and
// fails it where namespaces are required.
func SkipUnlessInstalled(t TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			skip(t, err)
		}
	}
}

func skip(t TB, why error) {
	t.Helper()
	if os.Getenv(RequireVariable) != "" {
		t.Fatalf("%v, and %s is set", why, RequireVariable)
	}
	t.Skip(why)
}
