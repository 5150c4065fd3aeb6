// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// mixed is a pair of which one host runs hafast and the other one a
// different VRRP daemon. Both have haproxy.
type mixed struct {
	*lab.Lab
	// instance is the virtual router that is looked at, and vip its address.
	instance string
	vip      netip.Addr

	ours   *lab.Host
	hafast *lab.Hafast

	theirs *lab.Host
	peer   lab.System
	// peerMAC answers for the VIP while the peer is Active.
	peerMAC net.HardwareAddr
	// complaints are words in the peer's log that tell of an advert it did not like.
	complaints []string

	// dead is the host that is cut off.
	dead *lab.Host
}

// role tells which of the two daemons has priority 101; the other one has 100.
type role string

const (
	hafastLeads role = "hafast-leads"
	peerLeads   role = "peer-leads"
)

func roles() []role { return []role{hafastLeads, peerLeads} }

// newMixed builds the lab; peer makes the other daemon.
func newMixed(t *testing.T, r role, vip netip.Addr, peer func(m *mixed) lab.System) *mixed {
	t.Helper()
	m := &mixed{Lab: lab.ForTest(t, lab.Options{}), instance: "VI_1", vip: vip}
	m.ours, m.theirs = m.Pair()
	if r == peerLeads {
		m.ours, m.theirs = m.theirs, m.ours
	}
	m.peerMAC = m.theirs.MAC
	var err error
	m.hafast, err = lab.NewHafast()
	check(t, err)
	m.peer = peer(m)
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for sys, h := range map[lab.System]*lab.Host{m.hafast: m.ours, m.peer: m.theirs} {
			if p := sys.Proc(h); p != nil {
				t.Logf("%s on %s:\n%s", sys.Name(), h.Name, tail(p.Log()))
			}
		}
	})
	for _, h := range []*lab.Host{m.ours, m.theirs} {
		check(t, h.StartHAProxy(within(t)))
	}
	check(t, m.peer.Start(within(t), m.theirs))
	check(t, m.hafast.Start(within(t), m.ours))
	return m
}

// tail is the end of a log.
func tail(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}

// status is what hafast says of itself; false while it does not answer.
func (m *mixed) status(t *testing.T) (control.Instance, bool) {
	st, err := control.NewClient(m.hafast.Socket(m.ours)).Status(t.Context())
	if err != nil {
		return control.Instance{}, false
	}
	at := slices.IndexFunc(st.Instances, func(in control.Instance) bool { return in.Name == m.instance })
	if at < 0 {
		t.Fatalf("hafast has no instance %s", m.instance)
	}
	return st.Instances[at], true
}

// hafastActive waits until hafast is Active, and the peer is not unless one of
// them is cut off, and nobody but hafast's host answers for the VIP.
func (m *mixed) hafastActive(t *testing.T) {
	t.Helper()
	eventually(t, "hafast to be active and "+m.peer.Name()+" not", func() bool {
		in, ok := m.status(t)
		return ok && in.State == string(lab.StateActive) && m.ours.HasAddr(m.vip) &&
			(m.dead != nil || m.peer.State(t.Context(), m.theirs) != lab.StateActive)
	})
	m.answered(t, m.ours.MAC)
}

// peerActive is hafastActive the other way round.
func (m *mixed) peerActive(t *testing.T) {
	t.Helper()
	eventually(t, m.peer.Name()+" to be active and hafast not", func() bool {
		in, ok := m.status(t)
		yielded := !ok || in.State != string(lab.StateActive)
		return m.peer.State(t.Context(), m.theirs) == lab.StateActive &&
			(m.dead != nil || yielded && !m.ours.HasAddr(m.vip))
	})
	m.answered(t, m.peerMAC)
}

// answered waits until one hardware address alone answers for the VIP. FRR's
// device goes down a little after its router has yielded.
func (m *mixed) answered(t *testing.T, by net.HardwareAddr) {
	t.Helper()
	var macs []net.HardwareAddr
	err := lab.Eventually(within(t), "answers for "+m.vip.String(), func() bool {
		var err error
		macs, err = m.Client().Responders(t.Context(), m.vip, 200*time.Millisecond)
		check(t, err)
		return len(macs) == 1 && slices.Equal(macs[0], by)
	})
	if err != nil {
		t.Fatalf("%v: %v answered, want %v alone", err, macs, by)
	}
}

// because checks the cause of hafast's latest transition.
func (m *mixed) because(t *testing.T, want string) {
	t.Helper()
	events, err := control.NewClient(m.hafast.Socket(m.ours)).Events(t.Context(), 0)
	check(t, err)
	cause := "(none)"
	for _, ev := range events {
		if ev.Kind == "transition" && ev.Instance == m.instance {
			cause = ev.Cause
		}
	}
	if !strings.Contains(cause, want) {
		t.Errorf("hafast's latest transition came about because %q, want %q", cause, want)
	}
}

// effective waits until hafast's own arithmetic has come to this priority.
func (m *mixed) effective(t *testing.T, want uint8) {
	t.Helper()
	eventually(t, fmt.Sprintf("hafast to have priority %d", want), func() bool {
		in, ok := m.status(t)
		return ok && in.EffectivePriority == want
	})
}

// dies cuts a host off without its noticing.
func (m *mixed) dies(t *testing.T, h *lab.Host) {
	t.Helper()
	check(t, h.SilentDeath())
	m.dead = h
}

func (m *mixed) revives(t *testing.T) {
	t.Helper()
	check(t, m.dead.Revive())
	m.dead = nil
}

// stopHafast is a planned stop. Hafast waits for a successor's advert for a
// shorter time than the peer takes to miss it: that the peer took over by
// then shows that it has understood priority 0. On a machine that stands still for
// some of that time it is late all the same, but not again and again.
func (m *mixed) stopHafast(t *testing.T) {
	t.Helper()
	const attempts = 3
	for attempt := 1; ; attempt++ {
		m.rejects(t)
		p := m.hafast.Proc(m.ours)
		check(t, p.Stop(within(t)))
		last := lastLineWith(p.Log(), "stopped, ")
		if strings.Contains(last, " took over") {
			return
		}
		if attempt == attempts {
			t.Fatalf("hafast stopped %d times without a successor: %s", attempts, last)
		}
		check(t, m.hafast.Start(within(t), m.ours))
		m.hafastActive(t)
	}
}

func lastLineWith(text, word string) (last string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			last = line
		}
	}
	return last
}

// rejects checks that hafast, since its start, has dropped no advert but such as it
// sent itself.
func (m *mixed) rejects(t *testing.T) {
	t.Helper()
	counted := m.counters(t, "hafast_adverts_rejected_total{")
	if len(counted) == 0 {
		t.Error("hafast does not count what it rejects")
	}
	for series, value := range counted {
		if value != "0" && !strings.Contains(series, `reason="own"`) {
			t.Errorf("hafast dropped %s adverts: %s", value, series)
		}
	}
}

// counters are the series of hafast's metrics that begin so.
func (m *mixed) counters(t *testing.T, prefix string) map[string]string {
	t.Helper()
	page, err := get(t, m.ours, "http://127.0.0.1:9405/metrics")
	check(t, err)
	found := make(map[string]string)
	for line := range strings.Lines(page) {
		if series, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(series, prefix) {
			found[series] = value
		}
	}
	return found
}

// amicable checks that the two have heard each other, and that neither dropped
// or disliked an advert of the other.
func (m *mixed) amicable(t *testing.T) {
	t.Helper()
	m.rejects(t)
	heard := m.counters(t, "hafast_adverts_received_total{")
	if n := heard[fmt.Sprintf("hafast_adverts_received_total{instance=%q}", m.instance)]; n == "" || n == "0" {
		t.Errorf("hafast heard nothing of the peer: %v", heard)
	}
	events, err := control.NewClient(m.hafast.Socket(m.ours)).Events(t.Context(), 0)
	check(t, err)
	for _, ev := range events {
		// Two hosts that were cut off from each other are right to be surprised.
		if ev.Kind == "note" && !strings.Contains(ev.Cause, "active too") {
			t.Errorf("hafast found the peer odd: %s", ev.Cause)
		}
	}
	for line := range strings.Lines(m.peer.Proc(m.theirs).Log()) {
		for _, word := range m.complaints {
			if strings.Contains(strings.ToLower(line), word) {
				t.Errorf("%s complained: %s", m.peer.Name(), line)
			}
		}
	}
}

// step is a named part of a longer story.
type step struct {
	name string
	do   func(t *testing.T)
}

// story runs steps in order up to the first that fails: each begins where the one
// before it has ended.
func story(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		if !t.Run(s.name, s.do) {
			return
		}
	}
}

// leading is the story of a hafast with the higher priority.
func (m *mixed) leading() []step {
	return []step{
		{"election", m.hafastActive},
		{"silent death", func(t *testing.T) {
			m.dies(t, m.ours)
			m.peerActive(t)
			m.revives(t)
			m.hafastActive(t)
		}},
		{"planned stop", func(t *testing.T) {
			m.stopHafast(t)
			m.peerActive(t)
		}},
		{"preemption", func(t *testing.T) {
			check(t, m.hafast.Start(within(t), m.ours))
			m.hafastActive(t)
		}},
	}
}

// leaving is how a leading hafast goes out of service and comes back.
func (m *mixed) leaving() []step {
	return []step{
		{"haproxy dies", func(t *testing.T) {
			check(t, m.ours.KillHAProxy())
			m.peerActive(t)
			m.because(t, "out of service")
		}},
		{"haproxy returns", func(t *testing.T) {
			check(t, m.ours.StartHAProxy(within(t)))
			m.hafastActive(t)
		}},
		{"drain", func(t *testing.T) {
			check(t, m.hafast.Drain(within(t), m.ours))
			m.peerActive(t)
			m.because(t, "drained")
		}},
		{"ready", func(t *testing.T) {
			check(t, m.hafast.Ready(within(t), m.ours))
			m.hafastActive(t)
		}},
		{"nobody complains", m.amicable},
	}
}

// following is the story of a hafast with the lower priority.
func (m *mixed) following() []step {
	return []step{
		{"election", m.peerActive},
		{"silent death", func(t *testing.T) {
			m.dies(t, m.theirs)
			m.hafastActive(t)
			m.because(t, "nothing heard of")
			m.revives(t)
			m.peerActive(t)
			m.because(t, "higher priority")
		}},
		{"planned stop", func(t *testing.T) {
			check(t, m.peer.Proc(m.theirs).Stop(within(t)))
			m.hafastActive(t)
			m.because(t, "resigned")
		}},
		{"preemption", func(t *testing.T) {
			check(t, m.peer.Start(within(t), m.theirs))
			m.peerActive(t)
			m.because(t, "higher priority")
		}},
		{"nobody complains", m.amicable},
	}
}

// fill fills in a template of testdata.
func fill(t *testing.T, name string, values any) string {
	t.Helper()
	tmpl, err := template.New(name).Option("missingkey=error").ParseFiles(filepath.Join("testdata", name))
	check(t, err)
	var b strings.Builder
	check(t, tmpl.Execute(&b, values))
	return b.String()
}

// forLab fits a hafast configuration to the lab, where the hosts share their files.
func (m *mixed) forLab(conf string, h *lab.Host) string {
	return fmt.Sprintf("node: %s\nmetrics: {listen: \"127.0.0.1:9405\"}\ncontrol: {socket: %s}\nstate_dir: %s\nbpf_dir: %s\n",
		h.Name, m.hafast.Socket(h), m.hafast.StateDir(h), m.hafast.BPFDir(h)) +
		strings.ReplaceAll(conf, "/var/run/haproxy.pid", h.HAProxyPIDFile())
}

// read reads a file, or fails the test.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	check(t, err)
	return string(text)
}
