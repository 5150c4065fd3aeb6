// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"hafast/test/netns/lab"
)

// TestTracking follows interfaces, files and processes.
func TestTracking(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	setup := func(t *testing.T, track func(h *lab.Host) string) {
		t.Helper()
		p.fresh(t, func(h *lab.Host) string {
			return "haproxy: off\ninstances:\n" + instance1(h, "track: {"+track(h)+"}\n")
		})
		for _, h := range []*lab.Host{p.a, p.b} {
			addTracked(t, h)
			check(t, os.WriteFile(h.Path("number"), []byte("0\n"), 0o644))
			p.start(t, h)
		}
		p.settled(t, p.a)
	}

	t.Run("interface", func(t *testing.T) {
		setup(t, func(*lab.Host) string { return "interfaces: [trk0]" })
		tracked(t, p.a, "down")
		p.settledFault(t)
		if why := p.instance(t, p.a, "VI_1").Reason; why != "interface trk0 is down" {
			t.Errorf("reason of the fault: %q", why)
		}
		p.answeredBy(t, p.b, lab.VIP)
		tracked(t, p.a, "up")
		p.settled(t, p.a)
	})

	t.Run("interface with a weight", func(t *testing.T) {
		setup(t, func(*lab.Host) string { return "interfaces: [{name: trk0, weight: -10}]" })
		tracked(t, p.a, "down")
		p.settled(t, p.b)
		p.priority(t, p.a, 91)
		tracked(t, p.a, "up")
		p.settled(t, p.a)
	})

	t.Run("file", func(t *testing.T) {
		setup(t, func(h *lab.Host) string { return fmt.Sprintf("files: [{path: %s, weight: 2}]", h.Path("number")) })
		number := func(h *lab.Host, text string) {
			t.Helper()
			check(t, os.WriteFile(h.Path("number"), []byte(text), 0o644))
		}
		number(p.b, "7")
		p.settled(t, p.b)
		p.priority(t, p.b, 114)
		number(p.b, "-7\n")
		p.settled(t, p.a)
		p.priority(t, p.b, 86)
		number(p.a, "a word")
		p.priority(t, p.a, 101)
		check(t, os.Remove(p.b.Path("number")))
		p.priority(t, p.b, 100)
	})

	t.Run("process", func(t *testing.T) {
		// All hosts share the machine's processes: a name that is this test's own.
		name := fmt.Sprintf("hft%d", os.Getpid())
		setup(t, func(h *lab.Host) string {
			if h == p.a {
				return fmt.Sprintf("processes: [{name: %s, weight: 5}]", name)
			}
			return ""
		})
		b, err := os.ReadFile("/bin/sleep")
		check(t, err)
		check(t, os.WriteFile(p.a.Path(name), b, 0o755))
		p.priority(t, p.a, 101)
		first, err := p.a.Start(name, p.a.Path(name), "1000")
		check(t, err)
		p.priority(t, p.a, 106)
		first.Kill()
		p.priority(t, p.a, 101)
	})
}

// settledFault waits until a is in fault and b is Active.
func (p *pair) settledFault(t *testing.T) {
	t.Helper()
	p.inState(t, p.a, lab.StateFault)
	p.inState(t, p.b, lab.StateActive)
}

// addTracked gives the host an interface that can be taken down without loss. Reset
// removes it.
func addTracked(t *testing.T, h *lab.Host) {
	t.Helper()
	for _, args := range []string{"add trk0 type veth peer name trk1", "set trk0 up", "set trk1 up"} {
		_, err := h.Run(within(t), "ip", append([]string{"link"}, strings.Fields(args)...)...)
		check(t, err)
	}
}

// tracked takes the tracked interface up or down.
func tracked(t *testing.T, h *lab.Host, state string) {
	t.Helper()
	_, err := h.Run(within(t), "ip", "link", "set", "trk0", state)
	check(t, err)
}

// TestSyncGroup lets a fault of one instance move the other with it, and back.
func TestSyncGroup(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	conf := func(h *lab.Host) string {
		return fmt.Sprintf("haproxy: off\nsync_groups:\n  - {name: BOTH, instances: [VI_1, VI_2], notify: {any: %q}}\ninstances:\n", h.Path("told")) +
			instance1(h, "") + vi(h, "VI_2", 52, "50ms", []string{"10.224.147.209"}, "track: {interfaces: [trk0]}\n")
	}
	p.fresh(t, conf)
	for _, h := range []*lab.Host{p.a, p.b} {
		addTracked(t, h)
		program(t, h, "told", `echo "$*" >>"$0.log"`)
		p.start(t, h)
	}
	p.settled(t, p.a)
	tracked(t, p.a, "down")
	eventually(t, "both instances to be in fault", func() bool {
		return p.sys.State(t.Context(), p.a) == lab.StateFault && p.sys.State(t.Context(), p.b) == lab.StateActive
	})
	p.answeredBy(t, p.b, lab.VIP)
	if why := p.instance(t, p.a, "VI_1").Reason; why != "sync group BOTH: VI_2: interface trk0 is down" {
		t.Errorf("VI_1 is in fault for %q", why)
	}
	if group := p.instance(t, p.a, "VI_1").SyncGroup; group != "BOTH" {
		t.Errorf("status shows the sync group %q", group)
	}
	tracked(t, p.a, "up")
	p.settled(t, p.a)
	p.answeredBy(t, p.a, lab.VIP)
	p.stop(t, p.a)
	// Each state once, when the whole group has reached it.
	told(t, p.a, "GROUP BOTH BACKUP", "GROUP BOTH MASTER", "GROUP BOTH FAULT", "GROUP BOTH BACKUP", "GROUP BOTH MASTER", "GROUP BOTH STOP")
}

// TestNotify follows a host through all states and reads what its commands were told.
func TestNotify(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.fresh(t, func(h *lab.Host) string {
		command := func(state string) string { return fmt.Sprintf("%s: %q", state, h.Path("told")+" for "+state) }
		return "haproxy: off\ninstances:\n" + instance1(h, fmt.Sprintf("notify: {%s, %s, %s, %s, %s}\n",
			command("active"), command("backup"), command("fault"), command("stop"), command("any")))
	})
	for _, h := range []*lab.Host{p.a, p.b} {
		program(t, h, "told", `echo "$*" >>"$0.log"`)
		p.start(t, h)
	}
	p.settled(t, p.a)
	check(t, p.a.LinkDown())
	p.settledFault(t)
	check(t, p.a.LinkUp())
	p.settled(t, p.a)
	p.stop(t, p.a)
	told(t, p.a,
		"for backup", "for any INSTANCE VI_1 BACKUP 101",
		"for active", "for any INSTANCE VI_1 MASTER 101",
		"for fault", "for any INSTANCE VI_1 FAULT 101",
		"for backup", "for any INSTANCE VI_1 BACKUP 101",
		"for active", "for any INSTANCE VI_1 MASTER 101",
		"for stop", "for any INSTANCE VI_1 STOP 101",
	)
}

// told compares the lines that the host's notify commands have written; of a line
// about a group the priority does not matter.
func told(t *testing.T, h *lab.Host, want ...string) {
	t.Helper()
	b, err := os.ReadFile(h.Path("told.log"))
	check(t, err)
	var got []string
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(line)
		if words[0] == "GROUP" {
			words = words[:3]
		}
		got = append(got, strings.Join(words, " "))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the commands were told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
