// SPDX-License-Identifier: Apache-2.0

package steering_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hafast/internal/steering"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// service parses "10.0.0.9:443/tcp".
func service(t testing.TB, s string) steering.Service {
	t.Helper()
	where, proto, _ := strings.Cut(s, "/")
	ap, err := netip.ParseAddrPort(where)
	if err != nil {
		t.Fatal(err)
	}
	return steering.Service{
		VIP: ap.Addr(), Port: ap.Port(),
		Proto: map[string]uint8{"tcp": steering.TCP, "udp": steering.UDP}[proto],
	}
}

func services(t testing.TB, list ...string) []steering.Service {
	t.Helper()
	out := []steering.Service{}
	for _, s := range list {
		out = append(out, service(t, s))
	}
	return out
}

// many returns n services of a VIP, in order.
func many(vip string, n int) []steering.Service {
	var out []steering.Service
	for i := range n {
		out = append(out, steering.Service{VIP: addr(vip), Port: uint16(i + 1), Proto: steering.TCP})
	}
	return out
}

// chosen are the places in a table, in order.
func chosen(table []uint8) []uint8 {
	var seen [256]bool
	for _, place := range table {
		seen[place] = true
	}
	var out []uint8
	for place, is := range seen {
		if is {
			out = append(out, uint8(place))
		}
	}
	return out
}

// show writes a layout as "service -> places" lines.
func show(l steering.Layout) string {
	var b strings.Builder
	for _, s := range l.Services {
		if s.Set == steering.NoSet {
			fmt.Fprintf(&b, "%v -\n", s.Service)
			continue
		}
		fmt.Fprintf(&b, "%v %v\n", s.Service, chosen(l.Tables[s.Set]))
	}
	return b.String()
}

func TestPlan(t *testing.T) {
	const web, tls, dns, six = "10.0.0.9:80/tcp", "10.0.0.9:443/tcp", "10.0.0.9:53/udp", "[fd00::9]:443/tcp"
	type targets = []steering.Target
	const up, drain, down = steering.Up, steering.Drain, steering.Down
	target := func(place uint8, state steering.State, serves ...string) steering.Target {
		return steering.Target{Place: place, State: state, Serves: services(t, serves...)}
	}
	at := func(a string, target steering.Target) steering.Target {
		target.Addr = addr(a)
		return target
	}
	local := func(target steering.Target) steering.Target {
		target.Local = true
		return target
	}
	all := func(target steering.Target) steering.Target {
		target.All = true
		return target
	}
	for _, test := range []struct {
		name     string
		targets  targets
		services []steering.Service
		policy   steering.Policy
		want     string
		tables   int
	}{
		{name: "nobody", want: ""},
		{
			name: "nobody for what is asked", services: services(t, web),
			want: "10.0.0.9:80/tcp -\n",
		},
		{
			name: "all serve the same",
			targets: targets{
				local(at("10.0.0.1", target(0, up, web, tls, six))),
				at("10.0.0.2", target(1, up, web, tls, six)),
			},
			want:   "10.0.0.9:80/tcp [0 1]\n10.0.0.9:443/tcp [0 1]\n[fd00::9]:443/tcp [0 1]\n",
			tables: 1,
		},
		{
			name: "each serves something of its own, in no order and twice",
			targets: targets{
				local(at("10.0.0.1", target(3, up, tls, web, web))),
				at("10.0.0.2", target(7, up, dns, web)),
			},
			want:   "10.0.0.9:53/udp [7]\n10.0.0.9:80/tcp [3 7]\n10.0.0.9:443/tcp [3]\n",
			tables: 3,
		},
		{
			name: "a drained one takes nothing new, but what it serves is known",
			targets: targets{
				local(at("10.0.0.1", target(0, drain, web, tls))),
				at("10.0.0.2", target(1, up, web)),
			},
			want:   "10.0.0.9:80/tcp [1]\n10.0.0.9:443/tcp -\n",
			tables: 1,
		},
		{
			name: "one that is down likewise",
			targets: targets{
				local(at("10.0.0.1", target(0, up, web))),
				at("10.0.0.2", target(1, down, web, tls)),
			},
			want:   "10.0.0.9:80/tcp [0]\n10.0.0.9:443/tcp -\n",
			tables: 1,
		},
		{
			name: "one that serves everything",
			targets: targets{
				all(local(at("10.0.0.1", target(0, up)))),
				at("10.0.0.2", target(1, up, web)),
			},
			want:   "10.0.0.9:80/tcp [0 1]\n",
			tables: 1,
		},
		{
			name:     "explicit services, one of which nobody serves",
			services: services(t, tls, web),
			targets: targets{
				local(at("10.0.0.1", target(0, up, web, dns))),
				at("10.0.0.2", target(1, up, web, dns)),
			},
			want:   "10.0.0.9:80/tcp [0 1]\n10.0.0.9:443/tcp -\n",
			tables: 1,
		},
		{
			name:     "explicitly none",
			services: services(t),
			targets:  targets{local(at("10.0.0.1", target(0, up, web)))},
		},
		{
			name:   "local while this host can",
			policy: steering.Local,
			targets: targets{
				local(at("10.0.0.1", target(0, up, web))),
				at("10.0.0.2", target(1, up, web, tls)),
				at("10.0.0.3", target(2, up, web, tls)),
			},
			want:   "10.0.0.9:80/tcp [0]\n10.0.0.9:443/tcp [1 2]\n",
			tables: 2,
		},
		{
			name:   "local, drained",
			policy: steering.Local,
			targets: targets{
				local(at("10.0.0.1", target(0, drain, web))),
				at("10.0.0.2", target(1, up, web)),
			},
			want:   "10.0.0.9:80/tcp [1]\n",
			tables: 1,
		},
		{
			name: "places that are no good, taken, and an address that comes again",
			targets: targets{
				local(at("10.0.0.1", target(0, up, web))),
				at("10.0.0.2", target(16, up, web)),
				at("10.0.0.3", target(0, up, web)),
				at("10.0.0.1", target(4, up, web)),
				at("::ffff:10.0.0.1", target(5, up, web)),
				{Place: 6, State: up, Serves: services(t, web)},
			},
			want:   "10.0.0.9:80/tcp [0]\n",
			tables: 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p steering.Planner
			l := p.Plan(test.targets, test.services, test.policy)
			if got := show(l); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
			if len(l.Tables) != test.tables || l.Overflow != nil {
				t.Errorf("%d tables, want %d; overflow %v", len(l.Tables), test.tables, l.Overflow)
			}
		})
	}
}

func TestPlanLimitsServices(t *testing.T) {
	const extra = 3
	four, six := many("10.0.0.9", steering.MaxServices+extra), many("fd00::9", steering.MaxServices+extra)
	target := steering.Target{Addr: addr("10.0.0.1"), State: steering.Up, Serves: slices.Concat(six, four)}
	var p steering.Planner
	l := p.Plan([]steering.Target{target}, nil, steering.Shared)
	if len(l.Services) != 2*steering.MaxServices {
		t.Errorf("%d services are laid out", len(l.Services))
	}
	var want []steering.Overflow
	for _, s := range slices.Concat(four[steering.MaxServices:], six[steering.MaxServices:]) {
		want = append(want, steering.Overflow{Service: s, Limit: steering.LimitServices})
	}
	if !slices.Equal(l.Overflow, want) {
		t.Errorf("overflow %v, want %v", l.Overflow, want)
	}
}

func TestPlanLimitsSets(t *testing.T) {
	// Service i is served by the targets whose bits i+1 has: each a set of its own.
	const extra = 2
	list := many("10.0.0.9", steering.MaxSets+extra)
	var targets []steering.Target
	for bit := range 7 {
		target := steering.Target{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(bit)}), Place: uint8(bit), State: steering.Up}
		for i, s := range list {
			if (i+1)&(1<<bit) != 0 {
				target.Serves = append(target.Serves, s)
			}
		}
		targets = append(targets, target)
	}
	var p steering.Planner
	l := p.Plan(targets, nil, steering.Shared)
	if len(l.Tables) != steering.MaxSets || len(l.Services) != len(list) || len(l.Overflow) != extra {
		t.Fatalf("%d tables for %d services, %d overflow", len(l.Tables), len(l.Services), len(l.Overflow))
	}
	for i, s := range l.Services {
		if over := i >= steering.MaxSets; over != (s.Set == steering.NoSet) {
			t.Errorf("service %d has set %d", i, s.Set)
		}
	}
	for i, o := range l.Overflow {
		if o.Service != list[steering.MaxSets+i] || o.Limit != steering.LimitSets {
			t.Errorf("overflow %v", o)
		}
	}
}

func TestStrings(t *testing.T) {
	for got, want := range map[string]string{
		service(t, "10.0.0.9:443/tcp").String():                   "10.0.0.9:443/tcp",
		service(t, "[fd00::9]:53/udp").String():                   "[fd00::9]:53/udp",
		steering.Service{VIP: addr("10.0.0.9"), Port: 1}.String(): "10.0.0.9:1/proto?",
		steering.Up.String() + steering.Drain.String():            "updrain",
		steering.Down.String():                                    "down",
		steering.Shared.String() + steering.Local.String():        "sharedlocal",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	list := many("10.0.0.9", 1000)
	var targets []steering.Target
	for i := range steering.MaxTargets {
		targets = append(targets, steering.Target{
			Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Place: uint8(i), State: steering.Up, Serves: list,
		})
	}
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			var p steering.Planner
			p.Plan(targets, nil, steering.Shared)
		}
	})
	b.Run("flap", func(b *testing.B) {
		var p steering.Planner
		for n := 0; b.Loop(); n++ {
			targets[3].State = []steering.State{steering.Up, steering.Down}[n%2]
			p.Plan(targets, nil, steering.Shared)
		}
	})
}
