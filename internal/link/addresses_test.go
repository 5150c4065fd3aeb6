// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hafast/internal/link"
	"hafast/internal/link/nstest"
)

func TestAddAndRemoveAddresses(t *testing.T) {
	c := pair(t)
	want := addresses("10.0.0.9/32", "10.8.0.9/24", "fd00::9/128", "fd00:8::9/64")
	out, err := c.AddAddresses("eth0", want)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Changed) != len(want) || len(out.Failed) != 0 {
		t.Errorf("first add: %+v, want %d changed", out, len(want))
	}
	got := nstest.Addrs(t, "eth0")
	if diff := cmp.Diff([]string{"10.0.0.9/32", "10.8.0.9/24", "fd00:8::9/64", "fd00::9/128"}, sorted(got)); diff != "" {
		t.Error(diff)
	}

	out, err = c.AddAddresses("eth0", want)
	if err != nil || len(out.Changed) != 0 {
		t.Errorf("adding again: %+v, %v, want nothing changed and no error", out, err)
	}
	out, err = c.RemoveAddresses("eth0", want)
	if err != nil || len(out.Changed) != len(want) {
		t.Errorf("remove: %+v, %v, want %d changed", out, err, len(want))
	}
	if got := nstest.Addrs(t, "eth0"); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
	out, err = c.RemoveAddresses("eth0", want)
	if err != nil || len(out.Changed) != 0 {
		t.Errorf("removing again: %+v, %v, want nothing changed and no error", out, err)
	}
}

func TestAddressFlags(t *testing.T) {
	c := pair(t)
	vips := addresses("10.0.0.9/32", "fd00::9/128", "fd00:8::9/64")
	vips[0].Label = "eth0:vip"
	if _, err := c.AddAddresses("eth0", vips); err != nil {
		t.Fatal(err)
	}
	list, err := netlink.AddrList(nstest.Link(t, "eth0"), netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, a := range list {
		switch a.IP.String() {
		case "10.0.0.9":
			seen++
			if a.Label != "eth0:vip" || a.Scope != unix.RT_SCOPE_UNIVERSE {
				t.Errorf("IPv4: label %q scope %d", a.Label, a.Scope)
			}
		case "fd00::9":
			seen++
			if a.Flags&unix.IFA_F_NODAD == 0 || a.Flags&unix.IFA_F_TENTATIVE != 0 || a.Flags&unix.IFA_F_DEPRECATED == 0 {
				t.Errorf("IPv6 /128: flags %#x, want nodad, deprecated and not tentative", a.Flags)
			}
		case "fd00:8::9":
			seen++
			if a.Flags&unix.IFA_F_TENTATIVE != 0 || a.Flags&unix.IFA_F_DEPRECATED != 0 {
				t.Errorf("IPv6 /64: flags %#x, want neither tentative nor deprecated", a.Flags)
			}
		}
	}
	if seen != 3 {
		t.Errorf("saw %d of 3 addresses in %v", seen, list)
	}
}

func TestAddressErrors(t *testing.T) {
	c := pair(t)
	// The kernel refuses multicast addresses.
	vips := addresses("10.0.0.8/32", "ff02::9/128", "10.0.0.9/32", "ff02::8/128")
	out, err := c.AddAddresses("eth0", vips)
	var failure *link.AddressError
	if !errors.As(err, &failure) {
		t.Fatalf("error %v, want an AddressError", err)
	}
	if failure.Addr != netip.MustParseAddr("ff02::9") || failure.More != 1 || !strings.Contains(err.Error(), "ff02::9 to eth0") {
		t.Errorf("error %q does not name the address", err)
	}
	if len(out.Changed) != 2 || len(out.Failed) != 2 {
		t.Errorf("outcome %+v, want two of each", out)
	}

	if _, err := c.AddAddresses("none0", vips); !errors.Is(err, link.ErrNotFound) {
		t.Errorf("add on a missing interface: %v, want ErrNotFound", err)
	}
	if _, err := c.RemoveAddresses("none0", vips); err != nil {
		t.Errorf("remove from a missing interface: %v, want nil", err)
	}
}

func TestThousandAddressesExistAlready(t *testing.T) {
	c := pair(t)
	vips := many(1000)
	if _, err := c.AddAddresses("eth0", vips); err != nil {
		t.Fatal(err)
	}
	// Now each request fails, and the receive buffer must hold the answers.
	out, err := c.AddAddresses("eth0", vips)
	if err != nil || len(out.Changed) != 0 {
		t.Errorf("%d changed, error %v", len(out.Changed), err)
	}
	out, err = c.RemoveAddresses("eth0", vips)
	if err != nil || len(out.Changed) != 1000 {
		t.Errorf("%d removed, error %v", len(out.Changed), err)
	}
}

func BenchmarkAdd1(b *testing.B)    { benchmarkAdd(b, 1) }
func BenchmarkAdd10(b *testing.B)   { benchmarkAdd(b, 10) }
func BenchmarkAdd100(b *testing.B)  { benchmarkAdd(b, 100) }
func BenchmarkAdd1000(b *testing.B) { benchmarkAdd(b, 1000) }

func benchmarkAdd(b *testing.B, n int) {
	c := pair(b)
	vips := many(n)
	for b.Loop() {
		if _, err := c.AddAddresses("eth0", vips); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if _, err := c.RemoveAddresses("eth0", vips); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func many(n int) []link.Address {
	vips := make([]link.Address, n)
	for i := range vips {
		vips[i] = addresses(fmt.Sprintf("10.1.%d.%d/32", i/250, i%250+1))[0]
	}
	return vips
}
