// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"hafast/internal/link"
	"hafast/internal/link/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a Conn in the test's namespace.
func open(t testing.TB) *link.Conn {
	t.Helper()
	c, err := link.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// pair enters a namespace with eth0 and its other end, peer0.
func pair(t testing.TB) *link.Conn {
	t.Helper()
	nstest.Enter(t)
	nstest.Veth(t, "eth0", "peer0")
	return open(t)
}

func addresses(cidrs ...string) []link.Address {
	var out []link.Address
	for _, s := range cidrs {
		out = append(out, link.Address{Prefix: netip.MustParsePrefix(s)})
	}
	return out
}
