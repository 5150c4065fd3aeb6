// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hafast/internal/config"
	"hafast/internal/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

func expectLog(t *testing.T, k *kernel, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, k.takeLog()); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
}

// Conformance 13: no announcement before the address is in place.
func TestAcquireOrder(t *testing.T) {
	k := newKernel("eth0")
	i := instance("a", "10.0.0.9/24", "10.0.0.10/32")
	i.Routes = []config.Route{{To: netip.MustParsePrefix("192.0.2.0/24")}}
	run(t, k, []Instance{i}, func(t *testing.T, b *bench) {
		expectLog(
			t, k,
			"sysctl net/ipv4/conf/all/arp_ignore=1", "sysctl net/ipv4/conf/all/arp_announce=2", "sysctl net/ipv4/conf/eth0/arp_ignore=1", "sysctl net/ipv4/conf/eth0/arp_announce=2",
			"add lo 10.0.0.9/32", "add lo 10.0.0.10/32",
		)
		k.with(func() { k.step = ms })
		b.Acquire("a", time.Now().Add(-7*ms))
		got := only[Acquired](t, b.after(5*ms))
		expectLog(
			t, k,
			"add eth0 10.0.0.9/24", "add eth0 10.0.0.10/32",
			"route 192.0.2.0/24",
			"announce eth0 10.0.0.9 02:00:00:00:00:02 fe80::2", "announce eth0 10.0.0.10 02:00:00:00:00:02 fe80::2",
		)
		want := Acquired{Name: "a", Addresses: 2, Phases: Phases{Address: 2 * ms, Routes: ms, Announce: 2 * ms, Total: 12 * ms}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}

		b.Release("a")
		released := only[Released](t, b.after(10*ms))
		expectLog(t, k, "remove eth0 10.0.0.9/24", "remove eth0 10.0.0.10/32", "no route 192.0.2.0/24")
		if released.Duration != 3*ms {
			t.Errorf("released in %v", released.Duration)
		}
		none(t, b.after(time.Hour))
		expectLog(t, k)
	})
}

// The first of many addresses need not wait for the last.
// Connections are known before their packets can come. The gate opens before all else
// that shows, and is the first to close: nobody may be told of a VIP that cannot be
// asked for, nor be answered about one that is on its way out.
func TestConnectionsThenGateThenTheRest(t *testing.T) {
	k := newKernel("eth0")
	k.gated = true
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		k.takeLog()
		k.with(func() { k.step = ms })
		b.Acquire("a", time.Now())
		got := only[Acquired](t, b.after(5*ms))
		expectLog(t, k, "settle [10.0.0.9]", "open a", "add eth0 10.0.0.9/32", "announce eth0 10.0.0.9 02:00:00:00:00:02 fe80::2")
		if got.Phases.State != ms || got.Phases.Gate != ms || got.Phases.Total != 4*ms {
			t.Errorf("phases %+v", got.Phases)
		}
		b.Release("a")
		only[Released](t, b.after(5*ms))
		expectLog(t, k, "close a", "remove eth0 10.0.0.9/32")
	})
}

// Connections that haproxy holds outlive the daemon: their address stays on lo.
func TestLeaveKeepsLoopback(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		b.Acquire("a", time.Now())
		only[Acquired](t, b.after(ms))
		k.takeLog()
		if err := b.Leave(); err != nil {
			t.Fatal(err)
		}
		expectLog(t, k, "remove eth0 10.0.0.9/32")
		if !k.has(loopback, "10.0.0.9") {
			t.Error("the address is gone from lo")
		}
	})
}

func TestManyAddressesAreTakenInBatches(t *testing.T) {
	const batches = 3
	var cidrs, want []string
	for n := range batches * batchSize {
		cidrs = append(cidrs, fmt.Sprintf("10.1.%d.%d/32", n/256, n%256))
	}
	for batch := range slices.Chunk(cidrs, batchSize) {
		for _, op := range []string{"add", "announce"} {
			for _, cidr := range batch {
				want = append(want, op+" "+cidr)
			}
		}
	}
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", cidrs...)}, func(t *testing.T, b *bench) {
		k.takeLog()
		b.Acquire("a", time.Now())
		if got := only[Acquired](t, b.settle()); got.Addresses != len(cidrs) {
			t.Errorf("%d addresses taken, want %d", got.Addresses, len(cidrs))
		}
		var got []string
		for _, line := range k.takeLog() {
			var op, iface, what string
			if _, err := fmt.Sscan(line, &op, &iface, &what); err != nil {
				t.Fatal(err)
			}
			if op == "announce" {
				what += "/32"
			}
			got = append(got, op+" "+what)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
	})
}

func TestAnnouncementSchedule(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		b.Acquire("a", time.Now())
		b.settle()
		for _, step := range []struct {
			pause time.Duration
			want  int
		}{
			{0, 1},
			{19 * ms, 0},
			{2 * ms, 1},
			{100 * ms, 1},
			{5 * time.Second, 3},
			{61 * time.Second, 1},
			{60 * time.Second, 1},
		} {
			none(t, b.after(step.pause))
			if got := k.count("announce"); got != step.want {
				t.Errorf("%v later: %d announcements, want %d", step.pause, got, step.want)
			}
		}
	})
}

func TestLatestWishWins(t *testing.T) {
	tests := []struct {
		name   string
		orders func(*Owner)
		want   []string
	}{
		{
			name:   "release after acquire",
			orders: func(o *Owner) { o.Acquire("a", time.Now()); o.Release("a") },
			want:   nil,
		},
		{
			name:   "acquire after release",
			orders: func(o *Owner) { o.Release("a"); o.Acquire("a", time.Now()) },
			want:   []string{"add eth0 10.0.0.9/32", "announce eth0 10.0.0.9 02:00:00:00:00:02 fe80::2"},
		},
		{
			name: "a thousand flaps",
			orders: func(o *Owner) {
				for range 1000 {
					o.Acquire("a", time.Now())
					o.Release("a")
				}
			},
			want: nil,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := newKernel("eth0")
			run(t, k, []Instance{instance("a", "10.0.0.9/32"), instance("b", "10.0.0.10/32")}, func(t *testing.T, b *bench) {
				b.settle()
				k.takeLog()
				// Run cannot begin before the orders are all in.
				b.work.Lock()
				test.orders(b.Owner)
				if n := len(b.queue); n > 1 {
					t.Errorf("%d entries in the queue for one instance", n)
				}
				b.work.Unlock()
				b.settle()
				expectLog(t, k, test.want...)
			})
		})
	}
}

func TestAcquireAfterReleaseAnnouncesAgain(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		b.Acquire("a", time.Now())
		b.settle()
		b.after(time.Second)
		k.takeLog()
		b.work.Lock()
		b.Release("a")
		b.Acquire("a", time.Now())
		b.work.Unlock()
		only[Acquired](t, b.settle())
		expectLog(t, k, "announce eth0 10.0.0.9 02:00:00:00:00:02 fe80::2")
		b.after(50 * ms)
		if got := k.count("announce"); got != 2 {
			t.Errorf("%d further announcements of a new burst, want 2", got)
		}
	})
}

func TestPartialFailureIsRetried(t *testing.T) {
	k := newKernel("eth0")
	bad := netip.MustParseAddr("10.0.0.10")
	run(t, k, []Instance{instance("a", "10.0.0.9/32", "10.0.0.10/32")}, func(t *testing.T, b *bench) {
		k.takeLog()
		k.with(func() { k.refuse[bad] = true })
		b.Acquire("a", time.Now())
		failed := only[Failed](t, b.settle())
		if !errors.Is(failed.Err, errRefused) || failed.Op != "acquire" || failed.Retry != firstRetry {
			t.Errorf("%+v", failed)
		}
		if want := []netip.Addr{netip.MustParseAddr("10.0.0.9")}; !slices.Equal(failed.InPlace, want) {
			t.Errorf("in place %v, want %v", failed.InPlace, want)
		}
		expectLog(t, k, "add eth0 10.0.0.9/32", "announce eth0 10.0.0.9 02:00:00:00:00:02 fe80::2")

		// The pauses double, up to their limit.
		var pauses []time.Duration
		last := time.Now()
		for len(pauses) < 8 {
			events := b.after(ms)
			if len(events) > 0 {
				pauses = append(pauses, only[Failed](t, events).Retry)
				if len(pauses) == 1 && time.Since(last) != firstRetry {
					t.Errorf("first retry after %v", time.Since(last))
				}
			}
		}
		if pauses[0] != 2*firstRetry || pauses[7] != lastRetry {
			t.Errorf("pauses %v", pauses)
		}
		k.with(func() { delete(k.refuse, bad) })
		got := only[Acquired](t, b.after(lastRetry))
		if got.Addresses != 2 {
			t.Errorf("%d addresses, want 2", got.Addresses)
		}
		none(t, b.after(time.Minute))
	})
}

func TestFailedReleaseIsRetried(t *testing.T) {
	k := newKernel("eth0")
	addr := netip.MustParseAddr("10.0.0.9")
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		b.Acquire("a", time.Now())
		b.settle()
		k.with(func() { k.refuse[addr] = true })
		b.Release("a")
		if f := only[Failed](t, b.settle()); f.Op != "release" {
			t.Errorf("%+v", f)
		}
		k.with(func() { delete(k.refuse, addr) })
		only[Released](t, b.after(firstRetry))
		if k.has("eth0", "10.0.0.9") {
			t.Error("still on the interface")
		}
	})
}

func TestAnnouncementFailure(t *testing.T) {
	k := newKernel("eth0")
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		k.with(func() { k.mute = true })
		b.Acquire("a", time.Now())
		only[Failed](t, b.settle())
		if !k.has("eth0", "10.0.0.9") {
			t.Error("the address is not in place")
		}
		k.with(func() { k.mute = false })
		only[Acquired](t, b.after(firstRetry))
	})
}

func TestReannounceIsLimited(t *testing.T) {
	k := newKernel("eth0")
	i := instance("a", "10.0.0.9/32")
	i.Announce = config.Announce{Count: 1}
	run(t, k, []Instance{i}, func(t *testing.T, b *bench) {
		b.Reannounce("a")
		b.settle()
		if got := k.count("announce"); got != 0 {
			t.Errorf("a Backup announced %d times", got)
		}
		b.Acquire("a", time.Now())
		b.after(time.Second)
		k.takeLog()
		b.Reannounce("a")
		b.settle()
		if got := k.count("announce"); got != 1 {
			t.Errorf("%d answers to the first claim, want 1 at once", got)
		}
		for range 1000 {
			b.Reannounce("a")
			b.after(ms)
		}
		if got := k.count("announce"); got < 9 || got > 11 {
			t.Errorf("%d answers to 1,000 claims within a second, want 10", got)
		}
		b.Release("a")
		b.Reannounce("a")
		b.after(time.Second)
		if got := k.count("announce"); got > 1 {
			t.Errorf("%d announcements after the release", got)
		}
	})
}

func TestVirtualMAC(t *testing.T) {
	k := newKernel("eth0", "eth1")
	i := FromConfig(config.Instance{
		Name: "a", VRID: 51, Priority: 100, Interface: "eth0", Accept: true, VirtualMAC: true,
		VIPs: []config.VIP{
			{Prefix: netip.MustParsePrefix("10.0.0.9/32"), Label: "eth0:vip"},
			{Prefix: netip.MustParsePrefix("10.8.0.9/32"), Interface: "eth1"},
		},
	}, config.Announce{Count: 1})
	if diff := cmp.Diff([]string{"eth0", "eth1", "lo", "vrrp4.51"}, Interfaces([]Instance{i})); diff != "" {
		t.Error(diff)
	}
	run(t, k, []Instance{i}, func(t *testing.T, b *bench) {
		k.takeLog()
		b.Acquire("a", time.Now())
		only[Acquired](t, b.settle())
		expectLog(
			t, k,
			"add vrrp4.51 10.0.0.9/32", "announce vrrp4.51 10.0.0.9 00:00:5e:00:01:33 fe80::2",
			"add eth1 10.8.0.9/32", "announce eth1 10.8.0.9 02:00:00:00:00:03 fe80::3",
		)
		// The parent goes, and the device with it; both come back.
		k.unplug("eth0")
		k.unplug("vrrp4.51")
		none(t, b.tell("eth0", "vrrp4.51"))
		k.takeLog()
		k.plug("eth0", 9)
		b.tell("eth0")
		if m := only[Mended](t, b.tell("vrrp4.51")); m.Interface != "vrrp4.51" {
			t.Errorf("%+v", m)
		}
		if got := k.takeLog(); !slices.Contains(got, "announce vrrp4.51 10.0.0.9 00:00:5e:00:01:33 fe80::9") {
			t.Errorf("not announced with the new parent's address: %v", got)
		}
		if err := b.Withdraw(); err != nil {
			t.Fatal(err)
		}
		if got := k.takeLog(); !slices.Contains(got, "no macvlan vrrp4.51") {
			t.Errorf("the device is still there: %v", got)
		}
	})
}

func TestUnknownInstance(t *testing.T) {
	run(t, newKernel("eth0"), nil, func(t *testing.T, b *bench) {
		b.Acquire("nobody", time.Now())
		none(t, b.settle())
	})
}

func TestManyInstances(t *testing.T) {
	k := newKernel("eth0")
	var instances []Instance
	for n := range 255 {
		instances = append(instances, instance(fmt.Sprint(n), fmt.Sprintf("10.0.1.%d/32", n)))
	}
	run(t, k, instances, func(t *testing.T, b *bench) {
		for _, i := range instances {
			b.Acquire(i.Name, time.Now())
		}
		events := b.settle()
		for n, e := range events {
			if a, ok := e.(Acquired); !ok || a.Name != fmt.Sprint(n) {
				t.Fatalf("event %d: %+v", n, e)
			}
		}
		if len(events) != 255 {
			t.Errorf("%d events", len(events))
		}
	})
}

func TestAcceptFalseNeedsAGuard(t *testing.T) {
	k := newKernel("eth0")
	o := New(Deps{Addresses: k, Routes: k, Macvlans: k, Sysctls: k, Announcer: k, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	i := instance("a", "10.0.0.9/32")
	i.Accept = false
	if err := o.Prepare([]Instance{i}); !errors.Is(err, ErrNoGuard) {
		t.Errorf("error %v, want ErrNoGuard", err)
	}
	var _ Addresses = (*link.Conn)(nil)
}
