// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// TestCheck runs `hafast check` where all is well and where something is not, and
// sees `hafast run` refuse the same in the same words.
func TestCheck(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	path := p.sys.ConfigPath(p.a)
	config := func(t *testing.T, text string) {
		t.Helper()
		check(t, os.WriteFile(path, []byte(text), 0o644))
	}
	good := func(t *testing.T) string {
		t.Helper()
		p.fresh(t, func(h *lab.Host) string { return watching(h) + "instances:\n" + instance1(h, "") })
		check(t, p.a.StartHAProxy(within(t)))
		// What a user has: check warns of the labs' native mode, rightly.
		text := strings.Replace(p.sys.Config(p.a), "xdp: "+lab.ModeOfWires, "xdp: auto", 1)
		config(t, text)
		return text
	}

	t.Run("good", func(t *testing.T) {
		good(t)
		for line := range strings.Lines(p.exits(t, p.a, 0, "check", "--config", path)) {
			// All hosts share the machine's processes, with other tests' too.
			if line != "ok\n" && !strings.Contains(line, "keepalived runs on this host") {
				t.Errorf("check says %q", line)
			}
		}
		// The daemon that runs is no trouble to itself.
		p.start(t, p.a)
		p.inState(t, p.a, lab.StateActive)
		says(t, p.exits(t, p.a, 0, "check", "--config", path), "ok\n")
	})

	t.Run("broken", func(t *testing.T) {
		lines := strings.Split(good(t), "\n")
		lines[1] = "interfce: eth0"
		text := strings.Replace(strings.Join(lines, "\n"), "vrid: 51", "vrid: 256", 1)
		vrid := 1 + strings.Count(text[:strings.Index(text, "vrid: 256")], "\n")
		config(t, text)
		for _, command := range []string{"check", "run"} {
			says(t, p.exits(t, p.a, 1, command, "--config", path),
				path+":2: ", "did you mean interface?", fmt.Sprintf("%s:%d: ", path, vrid))
		}
		says(t, p.exits(t, p.a, 1, "check", "--config", p.a.Path("none.yaml")), "none.yaml: cannot be read: no such file or directory")
	})

	t.Run("missing interface", func(t *testing.T) {
		config(t, strings.Replace(good(t), "interface: eth0", "interface: eth7", 1))
		says(t, p.exits(t, p.a, 1, "check", "--config", path), path+":2: interface eth7 does not exist", "eth0", "1 problem")
		// The daemon waits for it instead: interfaces may come late.
		p.configure(func(h *lab.Host) string { return watching(h) + "instances:\n" + instance1(h, "interface: eth7\n") })
		p.start(t, p.a)
		p.inState(t, p.a, lab.StateFault)
		says(t, p.asks(t, p.a, 0, "status"), "interface eth7 does not exist")
	})

	t.Run("port in use", func(t *testing.T) {
		good(t)
		ln, err := p.a.Listen(t.Context(), "tcp", "127.0.0.1:9405")
		check(t, err)
		defer ln.Close()
		says(t, p.exits(t, p.a, 1, "check", "--config", path), "127.0.0.1:9405", "address already in use")
		says(t, p.exits(t, p.a, 1, "run", "--config", path), "127.0.0.1:9405 is in use by another process", "metrics.listen")
	})

	t.Run("a second daemon", func(t *testing.T) {
		good(t)
		p.start(t, p.a)
		p.inState(t, p.a, lab.StateActive)
		says(t, p.exits(t, p.a, 1, "run", "--config", path), "another hafast is running", p.sys.Socket(p.a))
		// The first has not been disturbed.
		p.answeredBy(t, p.a, lab.VIP)
		says(t, p.asks(t, p.a, 0, "status"), "active")
	})

	t.Run("without privileges", func(t *testing.T) {
		lab.SkipUnlessInstalled(t, "setpriv")
		text := good(t)
		// Everything but the privileges is as it should be.
		dir := p.a.Path("nobody")
		check(t, os.MkdirAll(dir, 0o777))
		check(t, os.Chmod(dir, 0o777))
		text = strings.ReplaceAll(text, p.sys.Socket(p.a), filepath.Join(dir, "hafast.sock"))
		text = strings.ReplaceAll(text, p.sys.StateDir(p.a), filepath.Join(dir, "state"))
		config(t, text)
		asNobody := func(args ...string) (string, error) {
			args = append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", "--", p.sys.Binary}, args...)
			return p.a.Run(within(t), "setpriv", args...)
		}
		out, err := asNobody("check", "--config", path)
		if err == nil {
			t.Error("check finds nothing amiss")
		}
		says(t, out, "CAP_NET_ADMIN is missing: addresses cannot be moved; run as root",
			"CAP_NET_RAW is missing: adverts can be neither sent nor heard; run as root")
		out, err = asNobody("run", "--config", path)
		if err == nil {
			t.Error("run starts")
		}
		says(t, out, "operation not permitted", "run as root or with CAP_NET_RAW and CAP_NET_ADMIN")
		if p.a.HasAddr(lab.VIP) || p.a.HasAddrOn("lo", lab.VIP) {
			t.Error("a daemon that cannot run has left an address")
		}
	})
}

// TestImport takes the how-to's files from keepalived to a running pair.
func TestImport(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.fresh(t, nil)
	configs := make(map[*lab.Host]string)
	for i, h := range []*lab.Host{p.a, p.b} {
		seed, err := filepath.Abs(fmt.Sprintf("../../internal/keepalived/testdata/seed-host%d.conf", i+1))
		check(t, err)
		path := p.sys.ConfigPath(h)
		check(t, os.RemoveAll(path))
		says(t, p.exits(t, h, 0, "import", seed, "-o", path), "wrote "+path)
		p.exits(t, h, 1, "import", seed, "-o", path) // there is one already
		text, err := os.ReadFile(path)
		check(t, err)
		says(t, string(text), "vrid: 51", fmt.Sprintf("priority: %d", lab.Priority(h)), "version: 2", "weight: 2", lab.VIP.String())
		// The hosts of a lab share their files, those of the how-to do not.
		configs[h] = strings.Replace(string(text), "/var/run/haproxy.pid", h.HAProxyPIDFile(), 1) +
			fmt.Sprintf("control: {socket: %s}\nstate_dir: %s\nbpf_dir: %s\n", p.sys.Socket(h), p.sys.StateDir(h), p.sys.BPFDir(h))
		check(t, os.WriteFile(path, []byte(configs[h]), 0o644))
		check(t, h.StartHAProxy(within(t)))
		says(t, p.exits(t, h, 0, "check", "--config", path), "ok\n")
	}
	p.sys.Config = func(h *lab.Host) string { return configs[h] }
	p.start(t, p.a)
	p.start(t, p.b)
	p.settled(t, p.a)
	p.priority(t, p.a, 103)
	p.serves(t, lab.VIP)
	check(t, p.a.KillHAProxy())
	p.settled(t, p.b)
	p.answeredBy(t, p.b, lab.VIP)
	p.serves(t, lab.VIP)

	broken := p.a.Path("broken.conf")
	check(t, os.WriteFile(broken, []byte("vrrp_instance VI_1 {\n  interface eth0\n"), 0o644))
	says(t, p.exits(t, p.a, 2, "import", broken), broken+":")
}

// TestCommands asks a running pair what users ask.
func TestCommands(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	says(t, p.asks(t, p.a, 1, "status"), "is hafast running?")
	p.run(t, func(h *lab.Host) string { return watching(h) + "instances:\n" + instance1(h, "") })

	t.Run("status", func(t *testing.T) {
		says(t, p.asks(t, p.a, 0, "status"), "haa: hafast ", "VI_1", "active", "101/101", lab.VIP.String(), "haproxy")
		var st map[string]any
		check(t, json.Unmarshal([]byte(p.asks(t, p.a, 0, "status", "--json")), &st))
		fields(t, st, "node", "instances", "targets", "liveness", "sync", "xdp")
		instances, targets := objects(t, st["instances"]), objects(t, st["targets"])
		if len(instances) != 1 || len(targets) != 2 {
			t.Fatalf("%d instances and %d targets, want 1 and 2", len(instances), len(targets))
		}
		fields(t, instances[0], "name", "vrid", "state", "priority", "effective_priority", "vips")
		fields(t, targets[0], "node", "address", "state")
		got := fmt.Sprint(st["node"], instances[0]["name"], instances[0]["vrid"], instances[0]["state"],
			instances[0]["vips"], targets[0]["address"], targets[0]["state"])
		if want := fmt.Sprint("haa", "VI_1", 51.0, "active", []any{lab.VIP.String()}, p.a.Addr.String(), "up"); got != want {
			t.Errorf("status says %s, want %s", got, want)
		}
	})

	t.Run("status --watch", func(t *testing.T) {
		p.untilInterrupted(t, "watch", "VI_1", nil, "status", "--watch")
	})

	t.Run("events", func(t *testing.T) {
		says(t, p.asks(t, p.a, 0, "events"), "init -> backup", "backup -> active", "takeover", "total ")
		var list any
		check(t, json.Unmarshal([]byte(p.asks(t, p.a, 0, "events", "--json")), &list))
		phases := 0
		for _, ev := range objects(t, list) {
			fields(t, ev, "seq", "time", "kind", "cause")
			if ev["kind"] == "takeover" {
				for _, phase := range objects(t, ev["phases"]) {
					fields(t, phase, "name", "us")
					phases++
				}
			}
		}
		if phases < 4 {
			t.Errorf("a takeover has %d phases", phases)
		}
	})

	t.Run("events --follow, drain and ready", func(t *testing.T) {
		p.untilInterrupted(t, "follow", "active -> backup", func() {
			says(t, p.asks(t, p.a, 0, "drain"), "VI_1: "+lab.VIP.String()+" moved to "+p.b.Addr.String())
		}, "events", "--follow")
		p.settled(t, p.b)
		says(t, p.asks(t, p.a, 0, "status"), "drained")
		// The operator's word outlives the daemon.
		p.stop(t, p.a)
		p.start(t, p.a)
		p.settled(t, p.b)
		says(t, p.asks(t, p.a, 0, "status"), "drained")
		says(t, p.asks(t, p.a, 0, "ready"), "ready")
		p.settled(t, p.a)
	})

	t.Run("keygen, version, completion", func(t *testing.T) {
		one, other := p.exits(t, p.a, 0, "keygen"), p.exits(t, p.a, 0, "keygen")
		if len(one) != 45 || one == other { // 32 bytes in base64 and a line's end
			t.Errorf("keys %q and %q", one, other)
		}
		says(t, p.exits(t, p.a, 0, "version"), "hafast ", "go1.")
		var v map[string]any
		check(t, json.Unmarshal([]byte(p.exits(t, p.a, 0, "version", "--json")), &v))
		fields(t, v, "version", "go")
		for _, shell := range []string{"bash", "zsh", "fish"} {
			says(t, p.exits(t, p.a, 0, "completion", shell), "hafast")
		}
	})

	t.Run("mistakes", func(t *testing.T) {
		says(t, p.exits(t, p.a, 2, "statsu"), `unknown command "statsu"`, "status")
		says(t, p.exits(t, p.a, 2, "status", "--jsn"), "--jsn", "--help")
		says(t, p.exits(t, p.a, 2, "drain", "now"), "takes no arguments")
	})

	t.Run("metrics", func(t *testing.T) {
		lab.SkipUnlessInstalled(t, "promtool")
		text, err := get(t, p.a, "http://127.0.0.1:9405/metrics")
		check(t, err)
		lint := exec.CommandContext(within(t), "promtool", "check", "metrics")
		lint.Stdin = strings.NewReader(text)
		if out, err := lint.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("promtool check metrics: %v: %s", err, out)
		}
		says(t, text,
			`hafast_instance_state{instance="VI_1",interface="eth0",state="active",vrid="51"} 1`,
			`hafast_instance_priority{instance="VI_1"} 101`,
			`hafast_instance_effective_priority{instance="VI_1"} 101`,
			`hafast_out_of_service{instance="VI_1"} 0`,
			`hafast_transitions_total{cause=`,
			`hafast_adverts_sent_total{instance="VI_1"} `,
			`hafast_adverts_received_total{instance="VI_1"} `,
			`hafast_adverts_rejected_total{interface="eth0",reason="checksum"} 0`,
			`hafast_takeover_phase_seconds_bucket{phase="total",le="+Inf"} `,
			`hafast_takeover_phase_seconds_count{phase="announce"} `,
			`hafast_announcements_total{kind="arp"} `,
			`hafast_check_up{check="haproxy"} 1`,
			"hafast_haproxy_up 1",
			"hafast_haproxy_restarts_total 0",
			`hafast_config_reloads_total{result="refused"} 0`,
			"hafast_loop_lateness_seconds_count ",
			`hafast_build_info{goversion="go`,
			"process_cpu_seconds_total ",
		)
	})

	t.Run("the socket is root's", func(t *testing.T) {
		info, err := os.Stat(p.sys.Socket(p.a))
		check(t, err)
		if info.Mode().Perm()&0o007 != 0 {
			t.Errorf("the control socket has mode %v", info.Mode())
		}
	})

	t.Run("the daemon is gone", func(t *testing.T) {
		p.stop(t, p.a)
		for _, command := range []string{"status", "events", "drain", "ready"} {
			says(t, p.asks(t, p.a, 1, command), "is hafast running?")
		}
		if _, err := net.Dial("unix", p.sys.Socket(p.a)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the control socket: %v", err)
		}
	})
}

// untilInterrupted starts a client command that goes on, does something, waits for
// a text in what the command prints, and checks that it ends well by SIGINT.
func (p *pair) untilInterrupted(t *testing.T, name, text string, do func(), args ...string) {
	t.Helper()
	args = append([]string{p.sys.Binary}, append(args, "--socket", p.sys.Socket(p.a))...)
	command, err := p.a.Start(name, args...)
	check(t, err)
	eventually(t, name+" to print something", func() bool { return command.Log() != "" || command.Exited() })
	if do != nil {
		do()
	}
	eventually(t, fmt.Sprintf("%s to print %q", name, text), func() bool {
		return strings.Contains(command.Log(), text) || command.Exited()
	})
	check(t, command.Signal(unix.SIGINT))
	select {
	case <-command.Done():
	case <-within(t).Done():
		t.Fatalf("%s goes on after SIGINT", name)
	}
	if err := command.Err(); err != nil {
		t.Errorf("%s ended with %v: %s", name, err, command.Log())
	}
	says(t, command.Log(), text)
}

// fields checks that an object has the fields of the contract.
func fields(t *testing.T, object map[string]any, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, there := object[name]; !there {
			t.Errorf("no field %q in %v", name, object)
		}
	}
}

// objects is a JSON array of objects.
func objects(t *testing.T, list any) (all []map[string]any) {
	t.Helper()
	items, ok := list.([]any)
	if !ok {
		t.Fatalf("%v is no array", list)
	}
	for _, item := range items {
		object, ok := item.(map[string]any)
		if !ok {
			t.Fatalf("%v is no object", item)
		}
		all = append(all, object)
	}
	return all
}
