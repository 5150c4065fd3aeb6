// SPDX-License-Identifier: Apache-2.0

package peers_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"hafast/internal/bfd"
	"hafast/internal/membership"
	"hafast/internal/peers"
	"hafast/pkg/vrrp"
)

// TestInteraction plays the transcripts in testdata/transcripts: what is found out about
// peers, and what comes of it. Regenerate with
//
//	go test ./internal/peers -run TestInteraction -rewrite
//
// and read what has changed. The commands, with 10.0.0.N as N:
//
//	peers N...                         these are configured
//	hello N STATE [KEY=VALUE...]       it says up, drain, down or stopping; boot=B,
//	                                   also=N (another address), priority=P, standing=S
//	silent N                           no hello has come for a while
//	probed N STATE [doubtful]          S-BFD: up, down, admin_down or none
//	advert N                           an advert of its arrives
//	vanished|back N                    its host answers no ARP any more, or again
//	inherit N                          a predecessor sent it flows
//	deaf|hearing                       nothing arrives at this host, or something does again
//	turn PRIORITY lost=N               whose turn it is, of this host with address 9 too
//	run D                              time passes
func TestInteraction(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		s := &script{now: time.Unix(0, 0)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.out.Reset()
			line := d.Cmd
			for _, a := range d.CmdArgs {
				line += " " + a.String()
			}
			for line := range strings.Lines(strings.TrimSpace(line + "\n" + d.Input)) {
				if err := s.command(strings.Fields(line)); err != nil {
					d.Fatalf(t, "%s: %v", strings.TrimSpace(line), err)
				}
			}
			return s.out.String()
		})
	})
}

type script struct {
	table peers.Table
	now   time.Time
	out   strings.Builder
}

// routerKey is that of the one election in the transcripts.
const routerKey = 7

func addr(n string) netip.Addr { return netip.MustParseAddr("10.0.0." + n) }

func (s *script) command(words []string) error {
	verb, args := words[0], words[1:]
	switch verb {
	case "peers":
		var list []netip.Addr
		for _, n := range args {
			list = append(list, addr(n))
		}
		s.print(s.table.Set(list))
		return nil
	case "deaf", "hearing":
		s.table.SetReceiving(s.now, verb == "hearing")
		return nil
	case "run":
		d, err := time.ParseDuration(args[0])
		for end := s.now.Add(d); s.now.Before(end); {
			s.now = s.now.Add(20 * time.Millisecond)
			s.print(s.table.Tick(s.now))
		}
		return err
	case "turn":
		return s.turn(args)
	}
	p := s.table.Peer(addr(args[0]))
	if p == nil {
		return fmt.Errorf("no peer %s", args[0])
	}
	ev, err := s.event(verb, p, args[1:])
	if err == nil {
		s.print(s.table.Step(s.now, p.Addr, ev))
	}
	return err
}

func (s *script) event(verb string, p *peers.Peer, args []string) (peers.Event, error) {
	switch verb {
	case "hello":
		said, err := s.hello(p, args)
		return peers.Spoke{Peer: said}, err
	case "silent":
		said := p.Said
		said.Silent = true
		return peers.Spoke{Peer: said}, nil
	case "probed":
		for _, state := range []bfd.State{bfd.Up, bfd.AdminDown, bfd.Down, bfd.Unmonitored} {
			if state.String() == args[0] {
				return peers.Probed{To: state, Doubtful: len(args) > 1}, nil
			}
		}
		return nil, fmt.Errorf("unknown state %s", args[0])
	case "advert":
		return peers.Advertised{}, nil
	case "vanished", "back":
		return peers.Vanished{Gone: verb == "vanished"}, nil
	case "inherit":
		return peers.InheritedFlows{}, nil
	default:
		return nil, fmt.Errorf("unknown command %s", verb)
	}
}

func (s *script) hello(p *peers.Peer, args []string) (membership.Peer, error) {
	n, _ := strconv.Atoi(strings.TrimPrefix(p.Addr.String(), "10.0.0."))
	said := membership.Peer{Addr: p.Addr, Heard: s.now, Hello: membership.Hello{Boot: uint64(n), Addresses: []netip.Addr{p.Addr}}}
	router := membership.Router{Key: routerKey}
	for state := membership.Up; state <= membership.Stopping; state++ {
		if state.String() == args[0] {
			said.Hello.State = state
		}
	}
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		number, err := strconv.Atoi(value)
		switch key {
		case "boot":
			said.Hello.Boot = uint64(number)
		case "also":
			said.Hello.Addresses = append(said.Hello.Addresses, addr(value))
		case "priority":
			router.Priority = uint8(number)
		case "standing":
			names := map[string]membership.Standing{"apart": membership.Apart, "following": membership.Following, "seeking": membership.Seeking, "leading": membership.Leading}
			router.Standing, err = names[value], nil
			said.Hello.Routers = []membership.Router{router}
		default:
			err = fmt.Errorf("unknown key %s", key)
		}
		if err != nil {
			return said, err
		}
	}
	return said, nil
}

func (s *script) turn(args []string) error {
	priority, err := strconv.ParseUint(args[0], 10, 8)
	lost := s.table.Peer(addr(strings.TrimPrefix(args[1], "lost=")))
	if err != nil || lost == nil {
		return fmt.Errorf("no such priority or peer")
	}
	t := s.table.Turn(routerKey, peers.Candidate{Priority: uint8(priority), Addrs: []netip.Addr{addr("9")}}, lost)
	fmt.Fprintf(&s.out, "%d ahead", t.Ahead)
	for _, word := range []struct {
		text string
		is   bool
	}{{", alone", s.table.Alone(lost)}, {", not all known", !t.Known}, {", vouched", t.Vouched}} {
		if word.is {
			s.out.WriteString(word.text)
		}
	}
	s.out.WriteString("\n")
	return nil
}

func (s *script) print(outputs []peers.Output) {
	for _, out := range outputs {
		fmt.Fprintf(&s.out, "%6.2f %s\n", float64(s.now.UnixNano())/1e9, describe(out))
	}
}

func describe(out peers.Output) string {
	switch out := out.(type) {
	case peers.StateChanged:
		return fmt.Sprintf("%s: %s -> %s (flows: %s)", out.Peer.Addr, out.From, out.To, out.To.Target())
	case peers.LifeChanged:
		life := map[vrrp.Life]string{vrrp.LifeUnknown: "unknown", vrrp.LifeUp: "up", vrrp.LifeDown: "down"}
		return fmt.Sprintf("life of %v is %s", out.Addrs, life[out.Life])
	case peers.ActiveLost:
		return fmt.Sprintf("%s: can be Active no more (dead: %t)", out.Peer.Addr, out.Dead)
	case peers.Doubted:
		return "nothing arrives here"
	case peers.Probing:
		return fmt.Sprintf("%s: probe it: %t", out.Peer.Addr, out.On)
	case peers.Watching:
		return fmt.Sprintf("watch the hosts of %v", out.Addrs)
	case peers.LeftToAdverts:
		return fmt.Sprintf("%s: %s: left to adverts", out.Peer.Addr, out.Sign)
	default:
		return fmt.Sprintf("%#v", out)
	}
}
