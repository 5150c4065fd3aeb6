// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// apply applies replicas and returns what has come of them.
func apply(t testing.TB, d *DataPath, replicas ...Replica) (outcomes []ReplicaOutcome) {
	t.Helper()
	if err := d.ApplyReplicas(replicas); err != nil {
		t.Fatal(err)
	}
	for _, r := range replicas {
		outcomes = append(outcomes, r.Outcome)
	}
	return outcomes
}

// bothWriters runs a test with the program that writes replicas, where the kernel has it,
// and with what stands in for it on older ones.
func bothWriters(t *testing.T, test func(t *testing.T, d *DataPath)) {
	t.Run("program", func(t *testing.T) {
		lab(t)
		d := open(t, "")
		if d.replicas.program == nil {
			if slices.Contains(d.Lacks(), lackLoop) {
				t.Skip("needs Linux " + lackLoop.Since)
			}
			t.Fatal("the program was not loaded")
		}
		test(t, d)
	})
	t.Run("maps", func(t *testing.T) {
		lab(t)
		d := open(t, "")
		if err := d.replicas.close(); err != nil {
			t.Fatal(err)
		}
		d.replicas.program = nil
		test(t, d)
	})
}

// entryOf finds a flow by its key, as it is in the tables.
func entryOf(t testing.TB, d *DataPath, key Flow) (Flow, bool) {
	t.Helper()
	for f, err := range d.Flows() {
		if err != nil {
			t.Fatal(err)
		}
		if f.Proto == key.Proto && f.Client == key.Client && f.VIP == key.VIP {
			return f, true
		}
	}
	return Flow{}, false
}

// altered are changes of a flow.
func altered(f Flow, changes ...func(*Flow)) Flow {
	for _, change := range changes {
		change(&f)
	}
	return f
}

func idle(d time.Duration) func(*Flow) { return func(f *Flow) { f.Idle = d } }
func at(place int) func(*Flow)         { return func(f *Flow) { f.Place = place } }
func closing(f *Flow)                  { f.Closing = true }
func replica(f *Flow)                  { f.Replica = true }

// TestOutcomes: what is there, what a peer tells, and what is there then. Times are far
// enough apart for jiffies not to matter.
func TestOutcomes(t *testing.T) {
	const old, young = time.Minute, 10 * time.Second
	flow := flow4(1)
	mine := func(changes ...func(*Flow)) *Flow { f := altered(flow, changes...); return &f }
	cases := map[string]struct {
		there   *Flow
		told    Replica
		outcome ReplicaOutcome
		then    *Flow
	}{
		"new": {
			nil, Replica{Flow: altered(flow, idle(young))}, ReplicaAdded, mine(idle(young), replica),
		},
		"new, closing": {
			nil, Replica{Flow: altered(flow, closing)}, ReplicaAdded, mine(closing, replica),
		},
		"new, of this host's own VIP": {
			nil, Replica{Flow: flow, Own: true}, ReplicaAdded, mine(replica),
		},
		"the same": {
			mine(idle(old)), Replica{Flow: altered(flow, idle(young))}, ReplicaSame, mine(idle(young), replica),
		},
		"the same, younger here": {
			mine(idle(young)), Replica{Flow: altered(flow, idle(old))}, ReplicaSame, mine(idle(young), replica),
		},
		"a replica again": {
			mine(idle(old), replica), Replica{Flow: altered(flow, idle(young))}, ReplicaSame, mine(idle(young), replica),
		},
		"a replica does not age by being told": {
			mine(idle(young), replica), Replica{Flow: altered(flow, idle(old))}, ReplicaSame, mine(idle(young), replica),
		},
		"moved": {
			mine(idle(young), replica), Replica{Flow: altered(flow, at(5), idle(old))}, ReplicaAltered, mine(at(5), idle(young), replica),
		},
		"moved, younger here, the peer's VIP": {
			mine(idle(young)), Replica{Flow: altered(flow, at(5), idle(old))}, ReplicaAltered, mine(at(5), idle(young), replica),
		},
		"moved, younger here, this host's own VIP": {
			mine(idle(young)), Replica{Flow: altered(flow, at(5), idle(old)), Own: true}, ReplicaKept, mine(idle(young)),
		},
		"moved, older here, this host's own VIP": {
			mine(idle(old)), Replica{Flow: altered(flow, at(5), idle(young)), Own: true}, ReplicaAltered, mine(at(5), idle(young), replica),
		},
		"moved, a replica here, this host's own VIP": {
			mine(idle(young), replica), Replica{Flow: altered(flow, at(5), idle(old)), Own: true}, ReplicaAltered, mine(at(5), idle(young), replica),
		},
		"closing": {
			mine(), Replica{Flow: altered(flow, closing)}, ReplicaAltered, mine(closing, replica),
		},
		"open again": {
			mine(closing, replica), Replica{Flow: flow}, ReplicaAltered, mine(replica),
		},
		"gone": {
			mine(replica), Replica{Flow: flow, Gone: true}, ReplicaRemoved, nil,
		},
		"gone, with packets here, the peer's VIP": {
			mine(), Replica{Flow: flow, Gone: true}, ReplicaRemoved, nil,
		},
		"gone, with packets here, this host's own VIP": {
			mine(), Replica{Flow: flow, Gone: true, Own: true}, ReplicaKept, mine(),
		},
		"gone, a replica of this host's own VIP": {
			mine(replica), Replica{Flow: flow, Gone: true, Own: true}, ReplicaRemoved, nil,
		},
		"gone, and not there": {
			nil, Replica{Flow: flow, Gone: true}, ReplicaSame, nil,
		},
		"no such place": {
			nil, Replica{Flow: altered(flow, at(MaxTargets))}, ReplicaFailed, nil,
		},
		"no address": {
			nil, Replica{Flow: Flow{Proto: TCP}}, ReplicaFailed, nil,
		},
		"neither TCP nor UDP": {
			nil, Replica{Flow: altered(flow, func(f *Flow) { f.Proto = 1 })}, ReplicaFailed, nil,
		},
	}
	bothWriters(t, func(t *testing.T, d *DataPath) {
		steerTo(t, d, 3)
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				t.Cleanup(func() {
					if _, err := d.DeleteFlows(func(Flow) bool { return true }); err != nil {
						t.Fatal(err)
					}
				})
				if c.there != nil {
					put(t, d, *c.there)
				}
				if got := apply(t, d, c.told); got[0] != c.outcome {
					t.Errorf("outcome %v, want %v", got[0], c.outcome)
				}
				got, ok := entryOf(t, d, flow)
				if c.then == nil {
					if ok {
						t.Errorf("left is %+v", got)
					}
					return
				}
				want := *c.then
				if want.Replica {
					want.Service = 0 // the number of the service here
				}
				if late := got.Idle - want.Idle; late < 0 || late > time.Second {
					t.Errorf("idle for %v, want %v", got.Idle, want.Idle)
				}
				if got.Idle = want.Idle; got != want {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			})
		}
	})
}

// TestReplicasOfAllKinds, more than one run of the program takes, with some that make no
// sense in between: each gets its own outcome, and is in its own table.
func TestReplicasOfAllKinds(t *testing.T) {
	bothWriters(t, func(t *testing.T, d *DataPath) {
		var replicas []Replica
		var want []ReplicaOutcome
		for i := range uint16(3 * replicaBatch / 2) {
			for _, f := range everyKind()[:3] {
				f.Client = netip.AddrPortFrom(f.Client.Addr(), i)
				replicas, want = append(replicas, Replica{Flow: f}), append(want, ReplicaAdded)
			}
			if i%100 == 7 {
				replicas, want = append(replicas, Replica{Flow: Flow{Place: -1}}), append(want, ReplicaFailed)
			}
		}
		if got := apply(t, d, replicas...); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		counts, err := d.FlowCounts()
		each := 3 * replicaBatch / 2
		if err != nil || counts != (FlowCounts{TCP4: each, TCP6: each, UDP4: each}) {
			t.Errorf("counted %+v, %v", counts, err)
		}
		for f := range flowsOf(t, d) {
			if f.Service != NoService || !f.Replica {
				t.Fatalf("%+v", f)
			}
		}
	})
}

// TestReplicasGetTheNumberOfTheirService, which is this host's own.
func TestReplicasGetTheNumberOfTheirService(t *testing.T) {
	bothWriters(t, func(t *testing.T, d *DataPath) {
		four, six := everyKind()[0], everyKind()[2]
		other := altered(four, func(f *Flow) { f.VIP = netip.AddrPortFrom(f.VIP.Addr(), 81) })
		err := d.Publish(Steering{Services: []Service{
			{VIP: four.VIP.Addr(), Port: four.VIP.Port(), Proto: TCP, Set: NoSet, ID: 17},
			{VIP: four.VIP.Addr(), Port: four.VIP.Port(), Proto: UDP, Set: NoSet, ID: 18},
			{VIP: six.VIP.Addr(), Port: six.VIP.Port(), Proto: TCP, Set: NoSet, ID: 19},
		}})
		if err != nil {
			t.Fatal(err)
		}
		apply(t, d, Replica{Flow: four}, Replica{Flow: six}, Replica{Flow: other})
		for _, c := range []struct {
			flow Flow
			want uint16
		}{{four, 17}, {six, 19}, {other, NoService}} {
			if got, ok := entryOf(t, d, c.flow); !ok || got.Service != c.want {
				t.Errorf("%v has service %d, want %d", c.flow.VIP, got.Service, c.want)
			}
		}
	})
}

// TestPacketMakesAReplicaThisHostsOwn, be it in the very jiffy in which it was told.
func TestPacketMakesAReplicaThisHostsOwn(t *testing.T) {
	bothWriters(t, func(t *testing.T, d *DataPath) {
		steerTo(t, d, 1)
		d.ListenFlows(true)
		flow := Flow{
			Proto: UDP, Client: netip.MustParseAddrPort("198.51.100.7:5"), VIP: netip.MustParseAddrPort("192.0.2.1:53"), Place: 1,
		}
		for range 20 {
			apply(t, d, Replica{Flow: flow})
			if f, ok := entryOf(t, d, flow); !ok || !f.Replica {
				t.Fatalf("told: %+v", f)
			}
			send(t, d, flow.Client.String())
			if f, ok := entryOf(t, d, flow); !ok || f.Replica {
				t.Fatalf("after a packet: %+v", f)
			}
		}
		if got, lost := told(t, d); len(got) != 0 || lost != 0 {
			t.Errorf("%v and %d lost have been told of what a peer has told", got, lost)
		}
	})
}

// TestReplicasWhilePacketsCome: packets and a peer want the same flow, and none of them
// ever leaves half an entry.
func TestReplicasWhilePacketsCome(t *testing.T) {
	bothWriters(t, func(t *testing.T, d *DataPath) {
		steerTo(t, d, 1)
		flow := Flow{
			Proto: UDP, Client: netip.MustParseAddrPort("198.51.100.7:5"), VIP: netip.MustParseAddrPort("192.0.2.1:53"), Place: 1,
		}
		const turns = 2000
		done := make(chan error, 1)
		go func() {
			frame := udp4Frame(flow.Client.String(), flow.VIP.String())
			for range turns {
				if _, _, err := d.Program().Test(frame); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for i := range turns {
			told := Replica{Flow: altered(flow, at(1+i%2)), Own: i%3 == 0, Gone: i%7 == 0}
			if got := apply(t, d, told); got[0] == ReplicaFailed {
				t.Errorf("turn %d: %v", i, got[0])
			}
			if f, ok := entryOf(t, d, flow); ok && (f.Place != 1 && f.Place != 2 || f.Closing || f.Service != 0 || f.Idle > time.Minute) {
				t.Fatalf("turn %d: %+v", i, f)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
