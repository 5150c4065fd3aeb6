// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPrepareRemovesWhatAKilledPredecessorLeft(t *testing.T) {
	tests := []struct {
		name    string
		setUp   func(*Instance)
		want    bool // still there after Prepare
		release bool // still there after a Release
	}{
		{name: "by default", setUp: func(*Instance) {}},
		{name: "adopted until decided", setUp: func(i *Instance) { i.Adopt = true }, want: true},
		{name: "the host's own address", setUp: func(i *Instance) { i.AddressOwner = true }, want: true, release: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := newKernel("eth0")
			k.put("eth0", "10.0.0.9/24")
			i := instance("a", "10.0.0.9/24")
			test.setUp(&i)
			run(t, k, []Instance{i}, func(t *testing.T, b *bench) {
				none(t, b.tell("eth0", "lo"))
				if got := k.has("eth0", "10.0.0.9"); got != test.want {
					t.Errorf("after Prepare: there %v, want %v", got, test.want)
				}
				b.Release("a")
				only[Released](t, b.settle())
				none(t, b.tell("eth0"))
				if got := k.has("eth0", "10.0.0.9"); got != test.release {
					t.Errorf("after Release: there %v, want %v", got, test.release)
				}
				if err := b.Withdraw(); err != nil {
					t.Error(err)
				}
				if got := k.has("eth0", "10.0.0.9"); got != test.release {
					t.Errorf("after Withdraw: there %v, want %v", got, test.release)
				}
			})
		})
	}
}

func TestWithdraw(t *testing.T) {
	k := newKernel("eth0")
	deaf := instance("b", "10.0.0.10/32")
	deaf.Accept = false
	run(t, k, []Instance{instance("a", "10.0.0.9/32"), deaf}, func(t *testing.T, b *bench) {
		if want := []netip.Addr{netip.MustParseAddr("10.0.0.10")}; !slices.Equal(k.dead, want) {
			t.Errorf("dropped %v, want %v", k.dead, want)
		}
		b.Acquire("a", time.Now())
		b.settle()
		k.takeLog()
		if err := b.Withdraw(); err != nil {
			t.Fatal(err)
		}
		log := k.takeLog()
		if last := log[len(log)-1]; last != "sysctls restored" {
			t.Errorf("last came %q, want the sysctls", last)
		}
		for _, addr := range []string{"10.0.0.9", "10.0.0.10"} {
			if k.has("eth0", addr) || k.has("lo", addr) {
				t.Errorf("%s was left", addr)
			}
		}
		if len(k.dead) != 0 {
			t.Errorf("still dropped: %v", k.dead)
		}
		// Nothing is mended any more, and no schedule goes on.
		none(t, b.tell("eth0", "lo"))
		none(t, b.after(time.Hour))
		expectLog(t, k)
	})
}

func TestPrepareReplaces(t *testing.T) {
	k := newKernel("eth0", "eth1")
	first := []Instance{instance("stays", "10.0.0.1/32"), instance("changes", "10.0.0.2/32", "10.0.0.3/32"), instance("goes", "10.0.0.4/32")}
	run(t, k, first, func(t *testing.T, b *bench) {
		for _, i := range first {
			b.Acquire(i.Name, time.Now())
		}
		b.after(time.Second)
		k.takeLog()

		changed := instance("changes", "10.0.0.3/32", "10.0.0.5/32")
		if err := b.Prepare([]Instance{instance("stays", "10.0.0.1/32"), changed, instance("comes", "10.0.0.6/32")}); err != nil {
			t.Fatal(err)
		}
		got := only[Acquired](t, b.settle())
		if got.Name != "changes" {
			t.Errorf("%+v", got)
		}
		log := slices.DeleteFunc(k.takeLog(), func(s string) bool { return s[:6] == "sysctl" })
		slices.Sort(log)
		want := []string{
			"add eth0 10.0.0.5/32", "add lo 10.0.0.5/32", "add lo 10.0.0.6/32",
			"announce eth0 10.0.0.3 02:00:00:00:00:02 fe80::2", "announce eth0 10.0.0.5 02:00:00:00:00:02 fe80::2",
			"remove eth0 10.0.0.2/32", "remove eth0 10.0.0.4/32", "remove lo 10.0.0.2/32", "remove lo 10.0.0.4/32",
		}
		if diff := cmp.Diff(want, log); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
		// What has stayed is still Active: it is mended.
		k.drop("eth0", "10.0.0.1/32")
		if m := only[Mended](t, b.tell("eth0")); m.Name != "stays" {
			t.Errorf("%+v", m)
		}
	})
}

func TestNothingOnLoopbackWithoutSysctls(t *testing.T) {
	k := newKernel("eth0")
	k.locked = true
	o := New(Deps{Addresses: k, Routes: k, Macvlans: k, Sysctls: k, Guard: k, Announcer: k, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err := o.Prepare([]Instance{instance("a", "10.0.0.9/32")}); !errors.Is(err, errRefused) {
		t.Errorf("error %v, want the sysctls' one", err)
	}
	if k.has("lo", "10.0.0.9") {
		t.Error("the VIP is on lo, and would be answered for")
	}
}

func TestPrepareWithoutTheInterface(t *testing.T) {
	k := newKernel()
	run(t, k, []Instance{instance("a", "10.0.0.9/32")}, func(t *testing.T, b *bench) {
		if !k.has("lo", "10.0.0.9") {
			t.Error("the VIP is not on lo")
		}
		b.Acquire("a", time.Now())
		only[Failed](t, b.settle())
		b.Release("a")
		only[Released](t, b.settle())
	})
}
