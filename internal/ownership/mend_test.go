// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestRemovedVIPComesBack(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32", "10.0.0.10/32")}, func(t *testing.T, b *bench) {
		b.Acquire("a", time.Now())
		b.settle()
		none(t, b.tell("eth0", "lo"))
		k.takeLog()

		k.drop("eth0", "10.0.0.9/32")
		mended := only[Mended](t, b.tell("eth0"))
		if mended.Interface != "eth0" || !slices.Equal(mended.Addrs, []netip.Addr{netip.MustParseAddr("10.0.0.9")}) {
			t.Errorf("%+v", mended)
		}
		expectLog(t, k, "add eth0 10.0.0.9/32", "announce eth0 10.0.0.9 02:00:00:00:00:02 fe80::2")

		k.drop("lo", "10.0.0.10/32")
		if m := only[Mended](t, b.tell("lo")); m.Interface != "lo" {
			t.Errorf("%+v", m)
		}
		expectLog(t, k, "add lo 10.0.0.10/32")
	})
}

func TestOldReportsDoNoHarm(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		without := k.change("eth0")
		b.Acquire("a", time.Now())
		b.settle()
		with := k.change("eth0")
		k.takeLog()
		b.Changed(without)
		none(t, b.settle())
		expectLog(t, k)
		b.Release("a")
		b.settle()
		k.takeLog()
		b.Changed(with)
		none(t, b.settle())
		expectLog(t, k)
	})
}

func TestAddedVIPIsRemovedOnABackup(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		b.Release("a")
		b.settle()
		k.takeLog()
		k.put("eth0", "10.0.0.1/24")
		k.put("eth0", "10.0.0.9/24") // not the prefix it would have
		removed := only[Removed](t, b.tell("eth0"))
		if removed.Interface != "eth0" || len(removed.Addrs) != 1 {
			t.Errorf("%+v", removed)
		}
		expectLog(t, k, "remove eth0 10.0.0.9/24")
	})
}

func TestContestedVIP(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32", "10.0.0.10/32")}, func(t *testing.T, b *bench) {
		b.Acquire("a", time.Now())
		b.settle()
		mended, contested := 0, 0
		// For three seconds somebody removes the address every 10 ms.
		for range 300 {
			k.drop("eth0", "10.0.0.9/32")
			events := b.tell("eth0")
			events = append(events, b.after(10*ms)...)
			for _, e := range events {
				switch e := e.(type) {
				case Mended:
					mended++
				case Contested:
					contested++
					if e.Addr != netip.MustParseAddr("10.0.0.9") || e.Interface != "eth0" {
						t.Errorf("%+v", e)
					}
				}
			}
		}
		if mended < 15 || mended > 20 || contested < 3 || contested > 4 {
			t.Errorf("mended %d times and told %d times of a contest, want 5 and 1 a second", mended, contested)
		}
		// Another address has a budget of its own.
		k.drop("eth0", "10.0.0.10/32")
		only[Mended](t, b.tell("eth0"))
		// Once the other side gives up, the address comes back unasked.
		k.drop("eth0", "10.0.0.9/32")
		b.tell("eth0")
		b.after(2 * time.Second)
		if !k.has("eth0", "10.0.0.9") {
			t.Error("the address has not come back")
		}
		none(t, b.after(10*time.Second))
	})
}

func TestLinkDownIsLeftAlone(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		b.Acquire("a", time.Now())
		b.after(time.Second)
		k.takeLog()
		k.with(func() { k.links["eth0"].Up = false })
		k.drop("eth0", "10.0.0.9/32")
		none(t, b.tell("eth0"))
		expectLog(t, k)
		k.with(func() { k.links["eth0"].Up = true })
		only[Mended](t, b.tell("eth0"))
		if got := k.count("announce"); got < 1 {
			t.Error("not announced once the link is up")
		}
	})
}

func TestInterfaceIsCreatedAnew(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		b.Acquire("a", time.Now())
		b.after(time.Second)
		k.unplug("eth0")
		none(t, b.tell("eth0"))
		b.Release("a")
		only[Released](t, b.settle())
		k.takeLog()
		k.plug("eth0", 7)
		none(t, b.tell("eth0"))
		b.Acquire("a", time.Now())
		only[Acquired](t, b.settle())
		expectLog(
			t, k,
			"sysctl net/ipv4/conf/all/arp_ignore=1", "sysctl net/ipv4/conf/all/arp_announce=2", "sysctl net/ipv4/conf/eth0/arp_ignore=1", "sysctl net/ipv4/conf/eth0/arp_announce=2",
			"add eth0 10.0.0.9/32", "announce eth0 10.0.0.9 02:00:00:00:00:07 fe80::7",
		)
	})
}

func TestAcquireBeforeTheNewInterfaceIsReported(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		k.unplug("eth0")
		k.plug("eth0", 7)
		b.Acquire("a", time.Now())
		only[Acquired](t, b.settle())
		if got := k.takeLog(); got[len(got)-1] != "announce eth0 10.0.0.9 02:00:00:00:00:07 fe80::7" {
			t.Errorf("announced by what was known before: %v", got)
		}
	})
}

func TestNewMACIsAnnounced(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		b.Acquire("a", time.Now())
		b.after(time.Second)
		k.takeLog()
		k.with(func() { k.links["eth0"].MAC = []byte{2, 0, 0, 0, 0, 0x99} })
		none(t, b.tell("eth0"))
		expectLog(t, k, "announce eth0 10.0.0.9 02:00:00:00:00:99 fe80::2")
	})
}
