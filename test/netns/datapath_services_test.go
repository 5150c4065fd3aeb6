// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// extraPort is a port that haproxy listens on only when it is told to.
const extraPort = 5002

// extraFrontend is haproxy's configuration for extraPort: like the lab's frontend
// "held", so that it can be told who serves it.
const extraFrontend = `
frontend extra
	bind *:5002
	default_backend echo
`

// reload replaces the host's haproxy as a reload does, by one that has a frontend
// more, and waits until it is the one that the pidfile names. The first one is the
// lab's.
func (p *pair) reload(t *testing.T, h *lab.Host, frontend string) {
	t.Helper()
	text, err := os.ReadFile(h.Path("haproxy.cfg"))
	check(t, err)
	conf := h.Path("haproxy-extra.cfg")
	check(t, os.WriteFile(conf, append(text, frontend...), 0o644))
	old, err := os.ReadFile(h.HAProxyPIDFile())
	check(t, err)
	proc, err := h.Start("haproxy-extra", "haproxy", "-db", "-f", conf, "-sf", strings.TrimSpace(string(old)))
	check(t, err)
	eventually(t, "the old haproxy to have let go", func() bool {
		if proc.Exited() {
			t.Fatalf("haproxy: %v: %s", proc.Err(), proc.Log())
		}
		return p.listens(t, h, proc.PID())
	})
	// A reader sees the old pid or the new one, never half of one.
	check(t, os.WriteFile(h.HAProxyPIDFile()+".new", fmt.Appendln(nil, proc.PID()), 0o644))
	check(t, os.Rename(h.HAProxyPIDFile()+".new", h.HAProxyPIDFile()))
}

// listens reports whether it is this process that answers on the host's stats socket.
func (p *pair) listens(t *testing.T, h *lab.Host, pid int) bool {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", h.HAProxySocket())
	if err != nil {
		return false
	}
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(time.Second)))
	if _, err := conn.Write([]byte("show info\n")); err != nil {
		return false
	}
	text, err := io.ReadAll(conn)
	return err == nil && strings.Contains(string(text), fmt.Sprintf("\nPid: %d\n", pid))
}

// extra opens a connection to extraPort, checks that it works, and tells who has it.
func (p *pair) extra(t *testing.T) *lab.Host {
	t.Helper()
	conn, by := p.holdAt(t, netip.AddrPortFrom(lab.VIP, extraPort))
	check(t, conn.Close())
	return by
}

// TestServices looks at which services the data path steers, and where to.
func TestServices(t *testing.T) {
	t.Parallel()
	p := newPair(t)

	t.Run("they follow haproxy", func(t *testing.T) {
		p.run(t, single("", ""))
		p.sharing(t)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		p.targets(t, p.a, extraPort)

		// One that only the peer has is served by it, wherever the VIP is.
		p.reload(t, p.b, extraFrontend)
		p.targets(t, p.a, extraPort, lab.HostB)
		for range fewHeld {
			if by := p.extra(t); by != p.b {
				t.Errorf("%s serves what only %s has", by.Name, p.b.Name)
			}
		}
		p.reload(t, p.a, extraFrontend)
		p.targets(t, p.a, extraPort, lab.HostA, lab.HostB)
		p.targets(t, p.b, extraPort, lab.HostA, lab.HostB)
		p.reload(t, p.b, "")
		p.targets(t, p.a, extraPort, lab.HostA)
		for range fewHeld {
			if by := p.extra(t); by != p.a {
				t.Errorf("%s serves what only %s has", by.Name, p.a.Name)
			}
		}
		p.reload(t, p.a, "")
		p.targets(t, p.a, extraPort)
		p.targets(t, p.b, extraPort)
		p.sharing(t)
		// All the while nothing has happened to what was there before.
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
	})

	t.Run("the configuration names them", func(t *testing.T) {
		p.run(t, single(fmt.Sprintf("services: [{vip: %s, port: %d}]\n", lab.VIP, lab.HeldPort), ""))
		for _, h := range []*lab.Host{p.a, p.b} {
			p.targets(t, h, lab.HeldPort, lab.HostA, lab.HostB)
			p.targets(t, h, lab.HTTPPort)
		}
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		// What is not named stays where it arrives.
		before := p.counter(t, p.a, "pass_no_service")
		p.serves(t, lab.VIP)
		if now := p.counter(t, p.a, "pass_no_service"); now == before {
			t.Error("no packet was found to be of no service")
		}
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
	})

	t.Run("balance: local", func(t *testing.T) {
		p.run(t, single("balance: local\n", ""))
		p.targets(t, p.a, lab.HTTPPort, lab.HostA)
		p.targets(t, p.b, lab.HTTPPort, lab.HostB)
		ofA := p.holdAll(t, lab.VIP, fewHeld, p.a)
		load := p.traffic(t, lab.VIP)
		p.asks(t, p.a, 0, "drain")
		p.settled(t, p.b)
		ofB := p.holdAll(t, lab.VIP, fewHeld, p.b)
		ofA.live(t, p.a.Name)
		p.asks(t, p.a, 0, "ready")
		p.settled(t, p.a)
		ofA = append(ofA, p.holdAll(t, lab.VIP, fewHeld, p.a)...)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
		load.unharmed(t)
	})
}

// TestDrain empties the Active host and then the Backup, and has them come back.
func TestDrain(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.run(t, single("", ""))
	p.sharing(t)
	load := p.traffic(t, lab.VIP)
	ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)

	// left waits until both hosts say that so many connections are left on h.
	left := func(t *testing.T, h *lab.Host, atLeast, atMost int) {
		t.Helper()
		for _, asked := range []*lab.Host{p.a, p.b} {
			eventually(t, fmt.Sprintf("%s to say that %d to %d connections are left on %s", asked.Name, atLeast, atMost, h.Name), func() bool {
				n := p.targetState(t, asked, h.Name, "drain").Connections
				return n != nil && atLeast <= *n && *n <= atMost
			})
		}
	}
	out := p.asks(t, p.a, 0, "drain")
	says(t, out, "VI_1: "+lab.VIP.String()+" moved to "+p.b.Addr.String(), "still open here")
	p.settled(t, p.b)
	p.answeredBy(t, p.b, lab.VIP)
	if why := p.targetState(t, p.b, lab.HostA, "drain").Reason; !strings.Contains(why, "drained") {
		t.Errorf("status says %q of the drained host", why)
	}
	p.targets(t, p.b, lab.HTTPPort, lab.HostB)
	left(t, p.a, len(ofA), len(ofA))
	ofB = append(ofB, p.holdAll(t, lab.VIP, fewHeld, p.b)...)
	ofA.live(t, p.a.Name)
	ofA.close()
	left(t, p.a, 0, 0)
	says(t, p.asks(t, p.a, 0, "drain", "--wait", "20s"), "drained")
	ofB.live(t, p.b.Name)
	says(t, p.asks(t, p.a, 0, "ready"), "ready")
	p.settled(t, p.a)
	p.sharing(t)

	// The Backup can be drained, too: nothing has to move for it.
	ofA, more := p.holdBoth(t, lab.VIP, fewHeld)
	ofB = append(ofB, more...)
	says(t, p.asks(t, p.b, 0, "drain"), "no virtual address was here")
	p.targets(t, p.a, lab.HTTPPort, lab.HostA)
	left(t, p.b, len(ofB), len(ofB))
	says(t, p.asks(t, p.b, 3, "drain", "--wait", "1s"), strconv.Itoa(len(ofB)))
	ofA = append(ofA, p.holdAll(t, lab.VIP, fewHeld, p.a)...)
	ofB.live(t, p.b.Name)
	p.asks(t, p.b, 0, "ready")
	p.sharing(t)
	load.unharmed(t)
	ofA.live(t, p.a.Name)
	ofB.live(t, p.b.Name)
}

// TestDeadTargets kills haproxies and hosts that hold connections. Those are told at
// once, all others go on, and new ones go where they are served.
func TestDeadTargets(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	// served waits until n requests in a row have been served; few may fail before.
	served := func(t *testing.T, n int) {
		t.Helper()
		row := 0
		eventually(t, "requests to be served", func() bool {
			text, err := get(t, p.Client(), fmt.Sprintf("http://%s/", netip.AddrPortFrom(lab.VIP, lab.HTTPPort)))
			if row++; err != nil || text != lab.PageText {
				t.Logf("a request failed: %v", err)
				row = 0
			}
			return row >= n
		})
	}

	t.Run("haproxy of the standby", func(t *testing.T) {
		p.run(t, single("", ""))
		p.sharing(t)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		seq := p.lastSeq(t, p.a)
		check(t, p.b.KillHAProxy())
		ofB.broken(t, p.b.Name)
		served(t, 20)
		p.targetState(t, p.a, lab.HostB, "down")
		p.targets(t, p.a, lab.HTTPPort, lab.HostA)
		p.stays(t, p.a, seq)
		ofA = append(ofA, p.holdAll(t, lab.VIP, fewHeld, p.a)...)
		check(t, p.b.StartHAProxy(within(t)))
		p.sharing(t)
		_, ofB = p.holdBoth(t, lab.VIP, fewHeld)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
	})

	t.Run("haproxy of the active host", func(t *testing.T) {
		p.run(t, single("", ""))
		p.sharing(t)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		check(t, p.a.KillHAProxy())
		ofA.broken(t, p.a.Name)
		served(t, 20)
		p.settled(t, p.b)
		p.answeredBy(t, p.b, lab.VIP)
		p.targets(t, p.b, lab.HTTPPort, lab.HostB)
		ofB = append(ofB, p.holdAll(t, lab.VIP, fewHeld, p.b)...)
		check(t, p.a.StartHAProxy(within(t)))
		p.settled(t, p.a)
		p.sharing(t)
		ofA, _ = p.holdBoth(t, lab.VIP, fewHeld)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
	})

	t.Run("the standby", func(t *testing.T) {
		p.run(t, single("", ""))
		p.sharing(t)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		before := p.counter(t, p.a, "pass_dead_target")
		check(t, p.b.SilentDeath())
		p.targetState(t, p.a, lab.HostB, "down")
		// Nothing comes from over there any more: it is the Active host that tells.
		ofB.reset(t, p.b.Name)
		if n := p.counter(t, p.a, "pass_dead_target") - before; n < uint64(len(ofB)) {
			t.Errorf("%d packets were answered in the place of the dead", n)
		}
		p.holdAll(t, lab.VIP, fewHeld, p.a)
		ofA.live(t, p.a.Name)
	})

	t.Run("the active host", func(t *testing.T) {
		p.run(t, single("", ""))
		p.sharing(t)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		check(t, p.a.SilentDeath())
		p.inState(t, p.b, lab.StateActive)
		p.targetState(t, p.b, lab.HostA, "down")
		ofB.live(t, p.b.Name)
		ofA.reset(t, p.a.Name)
		p.holdAll(t, lab.VIP, fewHeld, p.b)
		served(t, 20)
	})
}

// TestDataPathContract checks what users and scripts rely on in what the client
// commands print.
func TestDataPathContract(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.run(t, dual("", ""))
	p.sharing(t)
	ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
	ofA6, ofB6 := p.holdBoth(t, lab.VIP6, fewHeld)
	ofA.live(t, p.a.Name) // so that all of them are in the table
	ofB.live(t, p.b.Name)
	ofA6.live(t, p.a.Name)
	ofB6.live(t, p.b.Name)

	t.Run("status", func(t *testing.T) {
		var st map[string]any
		check(t, json.Unmarshal([]byte(p.asks(t, p.a, 0, "status", "--json")), &st))
		fields(t, st, "node", "instances", "targets", "liveness", "sync", "xdp")
		targets, sessions := objects(t, st["targets"]), objects(t, st["liveness"])
		if len(targets) != 2 || len(sessions) != 1 {
			t.Fatalf("%d targets and %d sessions, want 2 and 1", len(targets), len(sessions))
		}
		for i, want := range []*lab.Host{p.a, p.b} {
			fields(t, targets[i], "node", "address", "state", "self", "place", "services")
			got := fmt.Sprint(targets[i]["node"], targets[i]["address"], targets[i]["state"], targets[i]["self"])
			if want := fmt.Sprint(want.Name, want.Addr, "up", i == 0); got != want {
				t.Errorf("target %d is %s, want %s", i, got, want)
			}
		}
		fields(t, sessions[0], "peer", "address", "state", "interval_ms", "multiplier", "rtt_us", "sent", "answered", "missed", "longest_miss", "since")
		got := fmt.Sprint(sessions[0]["peer"], sessions[0]["address"], sessions[0]["state"], sessions[0]["interval_ms"], sessions[0]["multiplier"])
		if want := fmt.Sprint(p.b.Name, p.b.Addr, "up", 2.0, 25.0); got != want {
			t.Errorf("the session is %s, want %s", got, want)
		}
		if rtt, ok := sessions[0]["rtt_us"].(float64); !ok || rtt <= 0 {
			t.Errorf("the round trip took %v us", sessions[0]["rtt_us"])
		}
		xdp, ok := st["xdp"].(map[string]any)
		if !ok {
			t.Fatalf("xdp is %v", st["xdp"])
		}
		fields(t, xdp, "mode", "interfaces", "lease", "services", "flows", "flow_capacity", "counters")
		for _, service := range objects(t, xdp["services"]) {
			fields(t, service, "vip", "port", "proto", "targets")
		}
		says(t, p.asks(t, p.a, 0, "status"), lab.HostB, "native", "up")
	})

	t.Run("flows", func(t *testing.T) {
		p.flowsOf(t, p.a, lab.HostA, append(ofA, ofA6...))
		p.flowsOf(t, p.a, lab.HostB, append(ofB, ofB6...))
		var list []control.Flow
		check(t, json.Unmarshal([]byte(p.asks(t, p.a, 0, "flows", "--json")), &list))
		if want := len(ofA) + len(ofB) + len(ofA6) + len(ofB6); len(list) < want {
			t.Errorf("%d flows, want at least %d", len(list), want)
		}
		for _, f := range list {
			client, err := netip.ParseAddrPort(f.Client)
			check(t, err)
			if client.Addr() != p.Client().Addr && client.Addr() != p.Client().Addr6 || f.Proto != "tcp" || f.TargetAddress == "" {
				t.Errorf("a flow that nobody has made: %+v", f)
			}
		}
		says(t, p.asks(t, p.a, 0, "flows"), ofB[0].LocalAddr().String(), lab.HostB)
	})

	t.Run("events", func(t *testing.T) {
		var list any
		check(t, json.Unmarshal([]byte(p.asks(t, p.a, 0, "events", "--json")), &list))
		kinds := make(map[any]bool)
		phases := make(map[any]bool)
		for _, ev := range objects(t, list) {
			fields(t, ev, "seq", "time", "kind", "cause")
			kinds[ev["kind"]] = true
			if ev["kind"] == "takeover" {
				for _, phase := range objects(t, ev["phases"]) {
					fields(t, phase, "name", "us")
					phases[phase["name"]] = true
				}
			}
		}
		for _, kind := range []string{"start", "transition", "takeover", "health", "liveness", "peer"} {
			if !kinds[kind] {
				t.Errorf("no event of kind %s", kind)
			}
		}
		for _, phase := range []string{"decide", "gate", "address", "announce", "total"} {
			if !phases[phase] {
				t.Errorf("a takeover has no phase %s", phase)
			}
		}
	})
}
