// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// patience bounds every wait. It is long because the machine may be busy, and
// costs nothing where all is well.
const patience = 30 * time.Second

// pair is the lab's two hosts with hafast on them. Building a lab takes a second
// or two, so that subtests share one and begin with fresh.
type pair struct {
	*lab.Lab
	a, b *lab.Host
	// hosts are a and b, and those that a group has beside them.
	hosts []*lab.Host
	sys   *lab.Hafast
}

func newPair(t *testing.T) *pair {
	t.Helper()
	return newGroup(t, 2)
}

// newGroup is a pair of so many hosts: each of them is less preferred than those before it.
func newGroup(t *testing.T, hosts int) *pair {
	t.Helper()
	p := &pair{Lab: lab.ForTest(t, lab.Options{Hosts: hosts})}
	p.a, p.b = p.Pair()
	p.hosts = p.Group()
	// Scripts that run as another user must get to their files.
	check(t, os.Chmod(p.Dir, 0o755))
	var err error
	p.sys, err = lab.NewHafast()
	check(t, err)
	p.sys.Hosts = hosts
	return p
}

// body writes a host's configuration but for the part that head writes.
type body func(h *lab.Host) string

// fresh brings the hosts back to how they were built and makes conf what the
// daemons are started with.
func (p *pair) fresh(t *testing.T, conf body) {
	t.Helper()
	for _, h := range p.hosts {
		check(t, h.Reset())
		check(t, os.RemoveAll(p.sys.StateDir(h)))
		check(t, os.RemoveAll(h.Path("hafast.log")))
	}
	check(t, p.Client().FlushNeighbours())
	p.configure(conf)
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range p.hosts {
				t.Logf("log of %s:\n%s", h.Name, p.log(h))
			}
		}
	})
}

// configure changes what the daemons are started with.
func (p *pair) configure(conf body) {
	p.sys.Config = func(h *lab.Host) string {
		text := conf(h)
		if !strings.Contains(text, "liveness:") {
			text = patientLiveness + text
		}
		if !strings.Contains(text, "xdp:") {
			text = "xdp: " + lab.ModeOfWires + "\n" + text
		}
		return p.head(h) + text
	}
}

// patientLiveness, 50 ms and a lease of a second, outlasts a stolen processor, which would
// move a VIP in the middle of a test about something else. How quick the default is, package takeover
// measures.
const patientLiveness = "liveness: {multiplier: 25, lease: 1s}\n"

// head is the part of a configuration that differs from host to host.
func (p *pair) head(h *lab.Host) string {
	var peers []string
	for _, o := range p.others(h) {
		peers = append(peers, o.Addr.String())
	}
	return fmt.Sprintf("node: %s\ninterface: eth0\npeers: [%s]\ncontrol: {socket: %s}\nstate_dir: %s\nbpf_dir: %s\n",
		h.Name, strings.Join(peers, ", "), p.sys.Socket(h), p.sys.StateDir(h), p.sys.BPFDir(h))
}

// run starts haproxy and the daemon on all hosts and waits until a is Active and
// the others are Backup.
func (p *pair) run(t *testing.T, conf body) {
	t.Helper()
	p.fresh(t, conf)
	for _, h := range p.hosts {
		check(t, h.StartHAProxy(within(t)))
		p.start(t, h)
	}
	p.settled(t, p.a)
}

// runInTurn is run for a pair whose second host would not give up what it has, should
// it be the first to have it.
func (p *pair) runInTurn(t *testing.T, conf body) {
	t.Helper()
	p.fresh(t, conf)
	for _, h := range p.hosts {
		check(t, h.StartHAProxy(within(t)))
	}
	p.start(t, p.a)
	p.inState(t, p.a, lab.StateActive)
	p.start(t, p.b)
	p.settled(t, p.a)
}

func (p *pair) start(t *testing.T, h *lab.Host) {
	t.Helper()
	check(t, p.sys.Start(within(t), h))
}

// stop ends the daemon as an administrator does, and waits until it has gone.
func (p *pair) stop(t *testing.T, h *lab.Host) {
	t.Helper()
	daemon := p.sys.Proc(h)
	check(t, daemon.Stop(within(t)))
	if err := daemon.Err(); err != nil {
		t.Errorf("%s: after SIGTERM hafast ended with %v", h.Name, err)
	}
}

// settled waits until the one host is Active in all its instances, and the others
// are Backup.
func (p *pair) settled(t *testing.T, active *lab.Host) {
	t.Helper()
	check(t, lab.WaitSettled(within(t), p.sys, active, p.others(active)...))
}

func (p *pair) other(h *lab.Host) *lab.Host {
	if h == p.a {
		return p.b
	}
	return p.a
}

// others are the hosts beside this one.
func (p *pair) others(h *lab.Host) []*lab.Host {
	return lab.Others(p.hosts, h)
}

// log is the end of what the daemon has written.
func (p *pair) log(h *lab.Host) string {
	daemon := p.sys.Proc(h)
	if daemon == nil {
		return "(not started)"
	}
	lines := strings.Split(strings.TrimSpace(daemon.Log()), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// client talks to the host's daemon as the client commands do.
func (p *pair) client(h *lab.Host) *control.Client { return control.NewClient(p.sys.Socket(h)) }

// status waits until the daemon answers.
func (p *pair) status(t *testing.T, h *lab.Host) (st control.Status) {
	t.Helper()
	eventually(t, h.Name+" to tell its status", func() bool {
		var err error
		st, err = p.client(h).Status(t.Context())
		return err == nil && len(st.Instances) > 0
	})
	return st
}

// instance is what the daemon says of one instance.
func (p *pair) instance(t *testing.T, h *lab.Host, name string) control.Instance {
	t.Helper()
	st := p.status(t, h)
	at := slices.IndexFunc(st.Instances, func(in control.Instance) bool { return in.Name == name })
	if at < 0 {
		t.Fatalf("%s has no instance %s", h.Name, name)
	}
	return st.Instances[at]
}

// inState waits until the host's VI_1 is in the state.
func (p *pair) inState(t *testing.T, h *lab.Host, state lab.State) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s to be %s", h.Name, state), func() bool {
		return p.instance(t, h, "VI_1").State == string(state)
	})
}

// priority waits until the host's VI_1 has this effective priority.
func (p *pair) priority(t *testing.T, h *lab.Host, want uint8) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s to have priority %d", h.Name, want), func() bool {
		return p.instance(t, h, "VI_1").EffectivePriority == want
	})
}

// events are the journal's entries of a kind, from one of seq after on.
func (p *pair) events(t *testing.T, h *lab.Host, kind string, after uint64) (found []control.Event) {
	t.Helper()
	all, err := p.client(h).Events(t.Context(), after)
	check(t, err)
	for _, ev := range all {
		if ev.Kind == kind {
			found = append(found, ev)
		}
	}
	return found
}

// journalled waits for an entry of a kind whose cause contains the text.
func (p *pair) journalled(t *testing.T, h *lab.Host, kind, text string, after uint64) (found control.Event) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s to record %s %q", h.Name, kind, text), func() bool {
		for _, ev := range p.events(t, h, kind, after) {
			if strings.Contains(ev.Cause, text) {
				found = ev
				return true
			}
		}
		return false
	})
	return found
}

// lastSeq is the number of the journal's latest entry.
func (p *pair) lastSeq(t *testing.T, h *lab.Host) uint64 {
	t.Helper()
	all, err := p.client(h).Events(t.Context(), 0)
	check(t, err)
	return all[len(all)-1].Seq
}

// answeredBy waits until the host alone has answered for addr for as long as is
// asked, by ARP or by NDP.
func (p *pair) answeredBy(t *testing.T, h *lab.Host, addr netip.Addr) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s alone to answer for %s", h.Name, addr), func() bool {
		macs, err := p.Client().Responders(t.Context(), addr, 250*time.Millisecond)
		check(t, err)
		return len(macs) == 1 && slices.Equal(macs[0], h.MAC)
	})
}

// serves checks that a fresh connection to addr gets the page.
func (p *pair) serves(t *testing.T, addr netip.Addr) {
	t.Helper()
	url := fmt.Sprintf("http://%s/", netip.AddrPortFrom(addr, lab.HTTPPort))
	if got, err := get(t, p.Client(), url); err != nil || got != lab.PageText {
		t.Errorf("%s: %q, %v", url, got, err)
	}
}

// get fetches a page from inside a host, over a connection of its own.
func get(t *testing.T, from *lab.Host, url string) (string, error) {
	t.Helper()
	return fetch(within(t), from, url)
}

// fetch is get for goroutines that may outlast their test.
func fetch(ctx context.Context, from *lab.Host, url string) (string, error) {
	client := http.Client{
		Transport: &http.Transport{DialContext: from.Dial, DisableKeepAlives: true},
		Timeout:   patience,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// hangup has the daemon read its configuration again, as it is now, and waits
// for the outcome.
func (p *pair) hangup(t *testing.T, h *lab.Host, outcome string) {
	t.Helper()
	seq := p.lastSeq(t, h)
	check(t, p.sys.WriteConfig(h))
	check(t, p.sys.Signal(h, unix.SIGHUP))
	p.journalled(t, h, "reload", outcome, seq)
}

// run1 is the configuration of a pair with one instance, after some lines more.
func run1(more string) body {
	return func(h *lab.Host) string { return more + "instances:\n" + instance1(h, "") }
}

// instance1 is VI_1 with the VIP; more are further keys, each a line. Its adverts
// are far enough apart for a busy machine not to make a host silent.
func instance1(h *lab.Host, more string) string {
	return vi(h, "VI_1", 51, "50ms", []string{lab.VIP.String()}, more)
}

// vi is an instance; more are further keys, each a line.
func vi(h *lab.Host, name string, vrid int, interval string, vips []string, more string) string {
	text := fmt.Sprintf("  - name: %s\n    vrid: %d\n    priority: %d\n    advert_interval: %s\n    vips: [%s]\n",
		name, vrid, lab.Priority(h), interval, strings.Join(vips, ", "))
	for line := range strings.Lines(more) {
		text += "    " + line
	}
	return text
}

// exits runs hafast inside the host to its end and checks how it ends. It returns
// what was printed.
func (p *pair) exits(t *testing.T, h *lab.Host, code int, args ...string) string {
	t.Helper()
	out, err := h.Command(within(t), p.sys.Binary, args...).CombinedOutput()
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	if got != code {
		t.Errorf("hafast %s: exit code %d, want %d; it says: %s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

// asks is exits for the client commands.
func (p *pair) asks(t *testing.T, h *lab.Host, code int, args ...string) string {
	t.Helper()
	return p.exits(t, h, code, append(args, "--socket", p.sys.Socket(h))...)
}

// says checks that a text holds all of the parts.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in: %s", part, text)
		}
	}
}

// watching names haproxy's pidfile.
func watching(h *lab.Host) string {
	return fmt.Sprintf("haproxy: {pidfile: %s}\n", h.HAProxyPIDFile())
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	check(t, lab.Eventually(within(t), what, cond))
}

// throughout fails the test as soon as cond does not hold, for so long.
func throughout(t *testing.T, what string, long time.Duration, cond func() bool) {
	t.Helper()
	check(t, lab.Steadily(within(t), what, long, func() bool {
		if !cond() {
			t.Fatalf("%s: not any more", what)
		}
		return true
	}))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
