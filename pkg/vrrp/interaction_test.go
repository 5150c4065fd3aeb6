// SPDX-License-Identifier: Apache-2.0

package vrrp_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"hafast/pkg/vrrp"
)

// TestInteraction plays the transcripts in testdata/transcripts (CONFORMANCE VRRP 37): the
// routers of a virtual network, what happens to them, and what they do then.
// A packet takes 1 ms. Regenerate with
//
//	go test ./pkg/vrrp -run TestInteraction -rewrite
//
// and read what has changed. The commands:
//
//	router HOST[.NET] source=A priority=P [version=2] [interval=D] [preempt=false] [preempt-delay=D] [group=G]
//	start|stop|crash HOST...     the process starts, hands over and ends, or dies with its host
//	priority HOST[.NET] P        the checks' verdict; 0 is out of service
//	fault|recover HOST[.NET]     the interface cannot, and can again, be used
//	lost HOST [alone]            its liveness session to the Active goes down
//	lapse HOST                   it stood still for too long
//	cut|heal HOST HOST [NET]     what the first sends does not reach the second
//	run D                        time passes
func TestInteraction(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		n := newNetwork()
		n.problem = t.Errorf
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			for line := range strings.Lines(strings.TrimSpace(d.Cmd + " " + rest(d) + "\n" + d.Input)) {
				if err := n.command(strings.Fields(line)); err != nil {
					d.Fatalf(t, "%s: %v", strings.TrimSpace(line), err)
				}
			}
			return n.take() + n.summary()
		})
	})
}

// rest puts the directive line's arguments back together.
func rest(d *datadriven.TestData) string {
	words := make([]string, len(d.CmdArgs))
	for i, a := range d.CmdArgs {
		words[i] = a.String()
	}
	return strings.Join(words, " ")
}

func (n *network) command(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("a command and its arguments are needed")
	}
	verb, args := words[0], words[1:]
	switch verb {
	case "router":
		return n.router(args)
	case "run":
		d, err := time.ParseDuration(args[0])
		n.run(d)
		return err
	case "start", "stop", "crash":
		for _, name := range args {
			if err := n.process(verb, n.host(name)); err != nil {
				return err
			}
		}
		return nil
	case "priority":
		p, err := strconv.ParseUint(args[1], 10, 8)
		n.each(args[0], vrrp.SetPriority{Priority: uint8(p)})
		return err
	case "fault":
		n.each(args[0], vrrp.SetFault{Reason: "interface is down"})
		return nil
	case "recover":
		n.each(args[0], vrrp.Recover{})
		return nil
	case "lost":
		n.each(args[0], vrrp.ActiveLost{Alone: len(args) > 1})
		return nil
	case "lapse":
		n.each(args[0], vrrp.Lapse{})
		return nil
	case "cut", "heal":
		for _, in := range n.host(args[0]).instances {
			if len(args) == 2 || in.Interface == "eth"+args[2] {
				n.cuts[link{args[0], args[1], in.Interface}] = verb == "cut"
			}
		}
		return nil
	default:
		return fmt.Errorf("unknown command %s", verb)
	}
}

func (n *network) process(verb string, h *host) error {
	switch verb {
	case "start":
		return n.start(h)
	case "crash":
		n.crash(h)
	case "stop":
		for _, in := range h.instances {
			n.step(h, in.Name, vrrp.Stop{})
		}
	}
	return nil
}

// each steps one instance (HOST.NET), or all of a host.
func (n *network) each(who string, ev vrrp.Event) {
	name, net, one := strings.Cut(who, ".")
	h := n.host(name)
	for _, in := range h.instances {
		if !one || in.Interface == "eth"+net {
			n.step(h, in.Name, ev)
		}
	}
}

// router is the command that configures an instance. Its network number makes
// its name, interface, VRID and addresses.
func (n *network) router(args []string) error {
	name, number, _ := strings.Cut(args[0], ".")
	net, _ := strconv.Atoi(number)
	params := vrrp.Params{
		Version: 3, VRID: uint8(51 + net), Interval: time.Second, Preempt: true,
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(net), 100})},
	}
	in := vrrp.Instance{Name: fmt.Sprintf("VI_%d", net), Interface: fmt.Sprintf("eth%d", net)}
	var source netip.Addr
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		var err error
		var number uint64
		switch key {
		case "source":
			source, err = netip.ParseAddr(value)
			if source.Is6() {
				params.Addresses = []netip.Addr{netip.MustParseAddr("fe80::100")}
			}
		case "priority":
			number, err = strconv.ParseUint(value, 10, 8)
			params.Priority = uint8(number)
		case "version":
			number, err = strconv.ParseUint(value, 10, 8)
			params.Version = uint8(number)
		case "interval":
			params.Interval, err = time.ParseDuration(value)
		case "preempt":
			params.Preempt, err = strconv.ParseBool(value)
		case "preempt-delay":
			params.PreemptDelay, err = time.ParseDuration(value)
		case "group":
			in.Group = value
		default:
			err = fmt.Errorf("unknown key")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", arg, err)
		}
	}
	in.Params = params
	n.add(name, in, source)
	return nil
}
