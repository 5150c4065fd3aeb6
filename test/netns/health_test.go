// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// moved reports whether b has been Active since seq.
func (p *pair) moved(t *testing.T, seq uint64) bool {
	t.Helper()
	for _, ev := range p.events(t, p.b, "transition", seq) {
		if ev.To == "active" {
			return true
		}
	}
	return false
}

// detail is what the host's check of that name says.
func (p *pair) detail(t *testing.T, h *lab.Host, name string) (c control.Check) {
	t.Helper()
	for _, c := range p.status(t, h).Checks {
		if c.Name == name {
			return c
		}
	}
	return c
}

// TestHAProxy tells deaths of haproxy from its reloads.
func TestHAProxy(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	conf := func(h *lab.Host) string { return watching(h) + "instances:\n" + instance1(h, "") }
	// stays checks that nothing has moved since seq, once the daemon has noticed
	// what was done.
	stays := func(t *testing.T, seq uint64) {
		t.Helper()
		throughout(t, "the VIP to stay", 300*time.Millisecond, func() bool {
			return p.a.HasAddr(lab.VIP) && !p.moved(t, seq)
		})
		p.serves(t, lab.VIP)
	}

	t.Run("crash", func(t *testing.T) {
		p.run(t, conf)
		check(t, p.a.KillHAProxy())
		p.settled(t, p.b)
		p.answeredBy(t, p.b, lab.VIP)
		p.serves(t, lab.VIP)
		if c := p.detail(t, p.a, "haproxy"); c.Up || !strings.Contains(c.Detail, "signal 9") {
			t.Errorf("the check says up: %t, %s", c.Up, c.Detail)
		}
		if v := sample(t, p.a, "hafast_haproxy_up"); v != 0 {
			t.Errorf("hafast_haproxy_up is %v", v)
		}
		check(t, p.a.StartHAProxy(within(t)))
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
	})

	t.Run("reload with -sf", func(t *testing.T) {
		p.run(t, conf)
		seq, seqA := p.lastSeq(t, p.b), p.lastSeq(t, p.a)
		for range 3 {
			check(t, p.a.ReloadHAProxy(within(t)))
			p.journalled(t, p.a, "health", fmt.Sprintf("-> %d", p.a.HAProxy().PID()), seqA)
		}
		stays(t, seq)
		for _, ev := range p.events(t, p.a, "health", seqA) {
			if ev.To != "up" {
				t.Errorf("a reload was taken for a death: %s", ev.Cause)
			}
		}
		if v := sample(t, p.a, "hafast_haproxy_restarts_total"); v != 3 {
			t.Errorf("%v restarts counted, want 3", v)
		}
	})

	t.Run("reload of a master by SIGUSR2", func(t *testing.T) {
		p.run(t, conf)
		// Over to the other host while haproxy is replaced by a master with workers.
		check(t, p.a.KillHAProxy())
		p.settled(t, p.b)
		master, err := p.a.Start("master", "haproxy", "-W", "-f", p.a.Path("haproxy.cfg"), "-p", p.a.HAProxyPIDFile())
		check(t, err)
		p.settled(t, p.a)
		seq, seqA := p.lastSeq(t, p.b), p.lastSeq(t, p.a)
		for range 2 {
			before := worker(t, master)
			check(t, master.Signal(unix.SIGUSR2))
			eventually(t, "the new worker to be alone", func() bool {
				now := worker(t, master)
				return now != "" && !strings.Contains(now, before)
			})
			stays(t, seq)
		}
		for _, ev := range p.events(t, p.a, "health", seqA) {
			if ev.To != "up" {
				t.Errorf("a reload was taken for a death: %s", ev.Cause)
			}
		}
		// The master alone serves nobody.
		check(t, unix.Kill(pidOf(t, worker(t, master)), unix.SIGKILL))
		p.settled(t, p.b)
	})

	t.Run("restart", func(t *testing.T) {
		p.run(t, conf)
		seq := p.lastSeq(t, p.b)
		check(t, p.a.HAProxy().Stop(within(t)))
		check(t, p.a.StartHAProxy(within(t)))
		eventually(t, "the VIP to have been on b", func() bool { return p.moved(t, seq) })
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
		p.serves(t, lab.VIP)
	})

	t.Run("SIGSTOP is found by the socket", func(t *testing.T) {
		p.run(t, func(h *lab.Host) string {
			return fmt.Sprintf("haproxy: {pidfile: %s, socket: %s, interval: 100ms, timeout: 200ms, fall: 2}\ninstances:\n%s",
				h.HAProxyPIDFile(), h.HAProxySocket(), instance1(h, ""))
		})
		check(t, p.a.HAProxy().Signal(unix.SIGSTOP))
		p.settled(t, p.b)
		p.answeredBy(t, p.b, lab.VIP)
		p.serves(t, lab.VIP)
		if c := p.detail(t, p.a, "haproxy"); !c.Up {
			t.Errorf("a stopped process still runs, and the check says %s", c.Detail)
		}
		if c := p.detail(t, p.a, "haproxy-socket"); c.Up || !strings.Contains(c.Detail, "no answer within 200ms") {
			t.Errorf("the check of the socket says up: %t, %s", c.Up, c.Detail)
		}
		check(t, p.a.HAProxy().Signal(unix.SIGCONT))
		p.settled(t, p.a)
	})

	t.Run("the how-to's weights", func(t *testing.T) {
		p.run(t, func(h *lab.Host) string {
			return fmt.Sprintf("haproxy: {pidfile: %s, weight: 2}\ninstances:\n%s", h.HAProxyPIDFile(), instance1(h, ""))
		})
		p.priority(t, p.a, 103)
		p.priority(t, p.b, 102)
		check(t, p.a.KillHAProxy())
		p.settled(t, p.b)
		p.priority(t, p.a, 101)
		p.answeredBy(t, p.b, lab.VIP)
		check(t, p.a.StartHAProxy(within(t)))
		p.settled(t, p.a)
	})
}

// worker lists the pids of a master's workers, as the kernel does.
func worker(t *testing.T, master *lab.Proc) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", master.PID(), master.PID()))
	check(t, err)
	return strings.TrimSpace(string(b))
}

func pidOf(t *testing.T, text string) (pid int) {
	t.Helper()
	if _, err := fmt.Sscan(text, &pid); err != nil {
		t.Fatalf("%q is no pid", text)
	}
	return pid
}

// TestScripts drives a script by a file and looks at what becomes of the priority.
func TestScripts(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	// The script is good while "good" is there, and hangs while "hang" is; it writes
	// a line to "runs" each time.
	setup := func(t *testing.T, keys string) {
		t.Helper()
		p.fresh(t, func(h *lab.Host) string {
			return fmt.Sprintf("haproxy: off\nscripts:\n  - {name: chk, command: %q, interval: 50ms, %s}\ninstances:\n",
				h.Path("chk"), keys) + instance1(h, "track: {scripts: [chk]}\n")
		})
		for _, h := range []*lab.Host{p.a, p.b} {
			program(t, h, "chk", `
cd "$(dirname "$0")"
[ -e hang ] && { echo $$ >>hung; exec sleep 1000; }
[ -e good ]
code=$?
echo "$code $(id -un)" >>runs
exit $code`)
			check(t, os.RemoveAll(h.Path("runs")))
			check(t, os.RemoveAll(h.Path("hang")))
			touch(t, h, "good")
			p.start(t, h)
		}
		p.settled(t, p.a)
	}
	runs := func(t *testing.T, h *lab.Host, code string) int {
		t.Helper()
		b, err := os.ReadFile(h.Path("runs"))
		check(t, err)
		return strings.Count("\n"+string(b), "\n"+code+" ")
	}

	t.Run("rise and fall", func(t *testing.T) {
		setup(t, "timeout: 5s, rise: 4, fall: 5, weight: -5")
		p.priority(t, p.a, 101)
		// It takes rise good runs before the first result is one.
		if n := runs(t, p.a, "0"); n < 4 {
			t.Errorf("up after %d good runs, want 4", n)
		}
		check(t, os.Remove(p.a.Path("good")))
		p.priority(t, p.a, 96)
		if n := runs(t, p.a, "1"); n < 5 {
			t.Errorf("down after %d bad runs, want 5", n)
		}
		p.settled(t, p.b)
		good := runs(t, p.a, "0")
		touch(t, p.a, "good")
		p.settled(t, p.a)
		if n := runs(t, p.a, "0") - good; n < 4 {
			t.Errorf("up again after %d good runs, want 4", n)
		}
	})

	t.Run("a positive weight is added", func(t *testing.T) {
		setup(t, "timeout: 5s, weight: 10")
		p.priority(t, p.a, 111)
		p.priority(t, p.b, 110)
		check(t, os.Remove(p.a.Path("good")))
		p.priority(t, p.a, 101)
		p.settled(t, p.b)
		check(t, os.Remove(p.b.Path("good")))
		p.priority(t, p.b, 100)
		p.settled(t, p.a)
	})

	t.Run("weight 0 takes the host out of service", func(t *testing.T) {
		setup(t, "timeout: 5s, weight: 0")
		check(t, os.Remove(p.a.Path("good")))
		p.settled(t, p.b)
		if why := p.instance(t, p.a, "VI_1").OutOfService; why != "script chk: exit status 1" {
			t.Errorf("out of service for %q", why)
		}
	})

	t.Run("timeout", func(t *testing.T) {
		setup(t, "timeout: 1s, weight: -5")
		touch(t, p.a, "hang")
		p.settled(t, p.b)
		if c := p.detail(t, p.a, "script chk"); c.Up || !strings.Contains(c.Detail, "1s") {
			t.Errorf("the check says up: %t, %s", c.Up, c.Detail)
		}
		check(t, os.Remove(p.a.Path("hang")))
		p.settled(t, p.a)
		hung, err := os.ReadFile(p.a.Path("hung"))
		check(t, err)
		for _, pid := range strings.Fields(string(hung)) {
			eventually(t, "a script that hung to be gone", func() bool {
				return unix.Kill(pidOf(t, pid), 0) != nil
			})
		}
	})

	t.Run("user", func(t *testing.T) {
		for _, h := range []*lab.Host{p.a, p.b} {
			check(t, os.WriteFile(h.Path("runs"), nil, 0o666))
			check(t, os.Chmod(h.Dir, 0o777))
			t.Cleanup(func() { check(t, os.Chmod(h.Dir, 0o755)) })
		}
		setup(t, "timeout: 5s, user: nobody")
		b, err := os.ReadFile(p.a.Path("runs"))
		check(t, err)
		if !strings.HasPrefix(string(b), "0 nobody\n") {
			t.Errorf("the script ran as %s", b)
		}
	})
}

// program writes a shell script.
func program(t *testing.T, h *lab.Host, name, text string) {
	t.Helper()
	check(t, os.WriteFile(h.Path(name), []byte("#!/bin/sh\n"+strings.TrimSpace(text)+"\n"), 0o755))
}

func touch(t *testing.T, h *lab.Host, name string) {
	t.Helper()
	check(t, os.WriteFile(h.Path(name), nil, 0o644))
}
