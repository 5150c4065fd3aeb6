// SPDX-License-Identifier: Apache-2.0

// Demo shows a haproxy pair failing over, on one machine: two hosts, a web server and
// a client as network namespaces, everything that can happen to a host happening to
// one of them, and a live line of what the client sees meanwhile.
//
//	demo [-system NAME] [-faults LIST] [-out DIR]
//
// Unless faults are chosen, a death is shown in a group of three hosts, too.
//
// It needs root, haproxy, nginx and ethtool; test/setup.sh installs them. It leaves
// nothing behind but the picture and the figures in DIR, and fails when a
// takeover that should happen does not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
	"hafast/test/netns/takeover"
)

// errIncomplete is returned when a takeover did not happen.
var errIncomplete = errors.New("not every fault was survived")

func main() {
	takeover.ClientMain()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run is main with its surroundings passed in.
func run(ctx context.Context, args []string, out *os.File) error {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	name := fs.String("system", "hafast", "system to show: "+strings.Join(slices.Concat(lab.SystemNames(), lab.VariantNames()), ", "))
	list := fs.String("faults", "", "faults to show, separated by commas; all if empty")
	dir := fs.String("out", "bench/out", "directory for demo.json and demo.svg")
	if err := fs.Parse(args); err != nil {
		return err
	}
	scenes, err := plan(*name, *list)
	if err != nil {
		return err
	}
	report, err := show(ctx, scenes, newScreen(out))
	if err != nil {
		return err
	}
	fmt.Fprintln(out)
	rows := takeover.Rows(report.Results)
	if err := takeover.NewTable(rows).WriteText(out); err != nil {
		return err
	}
	if err := figures.WriteJSON(filepath.Join(*dir, "demo.json"), report); err != nil {
		return err
	}
	picture := filepath.Join(*dir, "demo.svg")
	if err := takeover.WritePicture(picture, report.Results); err != nil {
		return err
	}
	fmt.Fprintln(out, "\npicture:", picture)
	if len(report.Errors) > 0 {
		return fmt.Errorf("%w: %s", errIncomplete, strings.Join(report.Errors, "; "))
	}
	return nil
}

// scene is a fault that happens to a system.
type scene struct {
	system lab.System
	fault  takeover.Fault
}

// plan is what to show: the faults of the list with a pair of hosts, or all of them and
// deaths in a group.
func plan(name, list string) ([]scene, error) {
	system, err := lab.NewSystem(name)
	if err != nil {
		return nil, err
	}
	var scenes []scene
	if list != "" {
		for word := range strings.SplitSeq(list, ",") {
			fault, err := takeover.ParseFault(word)
			if err != nil {
				return nil, err
			}
			scenes = append(scenes, scene{system, fault})
		}
		return scenes, nil
	}
	for _, fault := range takeover.Faults() {
		scenes = append(scenes, scene{system, fault})
	}
	if system.Size() >= groupSize {
		return scenes, nil
	}
	group, err := lab.NewSystem(lab.OnHosts(name, groupSize))
	if err != nil {
		return nil, err
	}
	return append(scenes, scene{group, takeover.HostDeath}, scene{group, takeover.HAProxyKill}), nil
}

// groupSize is how many hosts the group has that is shown beside the pair.
const groupSize = 3

// show runs the scenes one by one under load. What goes wrong with one is
// put in the report, and the next one is shown.
func show(ctx context.Context, scenes []scene, screen *screen) (_ *takeover.Report, err error) {
	hosts, system := 0, scenes[0].system
	for _, s := range scenes {
		hosts = max(hosts, s.system.Size())
	}
	l, err := lab.New(ctx, lab.Options{Hosts: hosts})
	if err != nil {
		return nil, fmt.Errorf("build the lab: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()

	a, b := l.Pair()
	screen.print("Two hosts with haproxy, %s (%s) and %s (%s), share the address %s by %s.",
		a.Name, a.Addr, b.Name, b.Addr, lab.VIP, system.Name())
	screen.print("A client opens a fresh HTTP connection every millisecond and holds 100 through haproxy.")

	report := &takeover.Report{
		Date:    time.Now(),
		Command: "make demo",
		Rounds:  1,
		Machine: figures.ThisMachine(ctx, []lab.System{system}),
	}
	runner := takeover.Runner{
		Lab:    l,
		Before: 1500 * time.Millisecond,
		After:  2500 * time.Millisecond,
		Spread: time.Second,
		// Whoever watches would rather see a failure than wait for it.
		Patience: 12 * time.Second,
		Observe:  screen.view,
	}
	for i, s := range scenes {
		system, fault := s.system, s.fault
		screen.print("")
		hit := a
		if fault.HitsStandby() {
			hit = b
		}
		among := ""
		if system.Size() > 2 {
			among = fmt.Sprintf(" among %d hosts", system.Size())
		}
		screen.print("%d/%d %s%s: %s", i+1, len(scenes), fault, among, describe(fault, hit.Name))
		if !fault.AppliesTo(system) {
			screen.print("  %s has no such thing", system.Name())
			continue
		}
		result, err := runner.Run(ctx, system, fault)
		screen.endLine()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			screen.print("  error: %v", err)
			report.Errors = append(report.Errors, err.Error())
			continue
		}
		screen.print("  %s", verdict(result, a.Name, b.Name))
		report.Results = append(report.Results, result)
		if !result.AsExpected || !result.Recovered {
			report.Errors = append(report.Errors, string(fault)+" of "+system.Name()+": the hosts did not recover")
		}
	}
	return report, nil
}

// describe says what is about to happen.
func describe(fault takeover.Fault, host string) string {
	switch fault {
	case takeover.HostDeath, takeover.StandbyDeath:
		return host + " falls silent; nothing tells the others"
	case takeover.LinkDown:
		return "the network interface of " + host + " goes down"
	case takeover.HAProxyKill, takeover.StandbyHAProxyKill:
		return "haproxy on " + host + " gets a kill -9"
	case takeover.DaemonKill:
		return "the fail-over daemon on " + host + " gets a kill -9, haproxy lives on"
	case takeover.DaemonStop:
		return "the fail-over daemon on " + host + " is stopped in its tracks (SIGSTOP), haproxy lives on"
	case takeover.FalseAlarm:
		return "the port of " + host + " drops everything for 20 ms, and nothing has died"
	case takeover.Upgrade:
		return "a new fail-over daemon takes the place of the one on " + host
	case takeover.PlannedStop:
		return "the fail-over daemon on " + host + " is stopped for maintenance"
	case takeover.Drain:
		return "the operator drains " + host
	default:
		return string(fault)
	}
}

// verdict is a case in a sentence.
func verdict(r takeover.Result, active, standby string) string {
	var text string
	switch {
	case !r.AsExpected && r.Fault.MovesVIP():
		return standby + " never took over"
	case !r.AsExpected:
		return active + " does not have the VIP to itself"
	case !r.TakenOver:
		text = active + " kept the VIP; "
	case r.Fault.MovesVIP():
		text = fmt.Sprintf("%s had the VIP after %.1f ms; ", standby, r.TakeoverMS)
	default:
		text = fmt.Sprintf("%s had the VIP after %.1f ms and gave it back; ", standby, r.TakeoverMS)
	}
	switch {
	case !r.Recovered:
		text += "the client was not served again"
	case r.Failed == 0:
		text += fmt.Sprintf("none of %d fresh connections failed", r.Attempts)
	default:
		text += fmt.Sprintf("%d of %d fresh connections failed, over %.1f ms", r.Failed, r.Attempts, r.OutageMS)
	}
	hosts := "hosts answer"
	if r.Responders == 1 {
		hosts = "host answers"
	}
	text += fmt.Sprintf("; %d of %d held ones live", r.Survivors, r.Held)
	if r.HeldOnSurvivor > 0 && r.HeldOnSurvivor < r.Held {
		text += fmt.Sprintf(" (%d of the %d elsewhere)", r.SurvivorsOnSurvivor, r.HeldOnSurvivor)
	}
	return text + fmt.Sprintf("; %d %s for the VIP", r.Responders, hosts)
}
