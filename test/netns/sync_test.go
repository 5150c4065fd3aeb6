// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// keyed is the configuration of a pair that replicates its flows. Each host has a key
// file of its own; give writes it.
func keyed(more string) body {
	return func(h *lab.Host) string {
		return watching(h) + more + fmt.Sprintf("sync: {key_file: %s}\n", keyFile(h)) + "instances:\n" + instance1(h, "")
	}
}

func keyFile(h *lab.Host) string { return h.Path("sync.key") }

// give writes a host's key file, a line for each key.
func give(t *testing.T, h *lab.Host, keys ...byte) {
	t.Helper()
	var text string
	for _, k := range keys {
		text += base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{k}, 32)) + "\n"
	}
	check(t, os.WriteFile(keyFile(h), []byte(text), 0o600))
}

// runKeyed is run for a pair that replicates.
func (p *pair) runKeyed(t *testing.T, more string) {
	t.Helper()
	p.runKeyedAs(t, keyed(more))
}

// runKeyedAs is runKeyed with a configuration that has the key file.
func (p *pair) runKeyedAs(t *testing.T, conf body) {
	t.Helper()
	for _, h := range p.hosts {
		give(t, h, 1)
	}
	p.run(t, conf)
	p.inSync(t)
}

// inSync waits until all hosts are in sync with each other, and protected by each
// other.
func (p *pair) inSync(t *testing.T) {
	t.Helper()
	for _, h := range p.hosts {
		p.syncIs(t, h, control.SyncInSync)
		eventually(t, h.Name+" to have told all", func() bool {
			st := p.status(t, h).Sync
			covered := !slices.ContainsFunc(st.Peers, func(p control.SyncPeer) bool { return !p.Covered })
			return len(st.Peers) == len(p.hosts)-1 && covered && st.FlowsUnprotected == 0
		})
	}
}

func (p *pair) syncIs(t *testing.T, h *lab.Host, state string) (st control.Sync) {
	t.Helper()
	eventually(t, fmt.Sprintf("state sync of %s to be %s", h.Name, state), func() bool {
		st = p.status(t, h).Sync
		return st.State == state
	})
	return st
}

func TestFlowsAreReplicated(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.runKeyed(t, "")
	p.sharing(t)

	t.Run("a flow is at the peer before it is needed", func(t *testing.T) {
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		p.flowsOf(t, p.b, lab.HostA, ofA)
		p.flowsOf(t, p.b, lab.HostB, ofB)
		p.inSync(t)

		// What the targets are changes right before the VIP moves: tables alone would
		// find the way no more.
		check(t, p.b.KillHAProxy())
		p.targetState(t, p.a, lab.HostB, "down")
		check(t, p.b.StartHAProxy(within(t)))
		p.sharing(t)
		newA, newB := p.holdBoth(t, lab.VIP, fewHeld)
		p.flowsOf(t, p.b, lab.HostA, append(ofA, newA...))
		p.flowsOf(t, p.b, lab.HostB, newB)
		p.asks(t, p.b, 0, "drain")
		p.targetState(t, p.a, lab.HostB, "drain")
		p.asks(t, p.b, 0, "ready")
		p.sharing(t)
		chances := p.counter(t, p.b, "tx_second_chance")
		p.asks(t, p.a, 0, "drain")
		p.inState(t, p.b, lab.StateActive)
		p.answeredBy(t, p.b, lab.VIP)
		for _, conns := range []held{ofA, newA} {
			conns.live(t, p.a.Name)
		}
		newB.live(t, p.b.Name)
		if n := p.counter(t, p.b, "tx_second_chance") - chances; n > 0 {
			t.Errorf("b did not know %d packets' flows", n)
		}
		p.asks(t, p.a, 0, "ready")
		p.settled(t, p.a)
		newA.live(t, p.a.Name)
		newB.live(t, p.b.Name)
	})

	t.Run("a host that comes back is told what went on", func(t *testing.T) {
		p.stop(t, p.b)
		ofA := p.holdAll(t, lab.VIP, fewHeld, p.a)
		p.start(t, p.b)
		p.inSync(t)
		p.flowsOf(t, p.b, lab.HostA, ofA)
		if n := p.syncIs(t, p.a, control.SyncInSync).Peers[0].Resyncs["restart"]; n == 0 {
			t.Error("a does not say why it told b everything anew")
		}
		says(t, p.asks(t, p.a, 0, "status"), "sync: in sync with hab", "0 flows unprotected")
	})
}

// TestNotInSyncDoesNotPreempt has the better host come back with a key that its peer
// does not know.
func TestNotInSyncDoesNotPreempt(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.runKeyed(t, "")
	p.stop(t, p.a)
	p.inState(t, p.b, lab.StateActive)

	give(t, p.a, 2)
	p.start(t, p.a)
	p.live(t, p.a, control.StateUp)
	p.syncIs(t, p.a, control.SyncConnecting)
	throughout(t, "b to keep the VIP", 4*time.Second, func() bool { return p.b.HasAddr(lab.VIP) && !p.a.HasAddr(lab.VIP) })
	rejected := p.status(t, p.b).Sync.Peers[0].Rejected["key"]
	if rejected == 0 {
		t.Error("b does not say that it refuses a's datagrams for their key")
	}

	// The mend is a SIGHUP.
	give(t, p.a, 1)
	p.hangup(t, p.a, "reloaded")
	p.inSync(t)
	p.settled(t, p.a)
	p.answeredBy(t, p.a, lab.VIP)
}

// TestKeyRotation changes the keys of a pair in the order that OPERATIONS.md gives.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.runKeyed(t, "")
	ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
	seqA, seqB := p.lastSeq(t, p.a), p.lastSeq(t, p.b)
	for _, keys := range [][]byte{{1, 2}, {2, 1}, {2}} {
		for _, h := range []*lab.Host{p.b, p.a} {
			give(t, h, keys...)
			p.hangup(t, h, "reloaded")
		}
		p.inSync(t)
	}
	for _, h := range []*lab.Host{p.a, p.b} {
		peer := p.status(t, h).Sync.Peers[0]
		if n := peer.Rejected["key"] + peer.Rejected["auth"]; n > 0 {
			t.Errorf("%s has refused %d datagrams", h.Name, n)
		}
		if peer.Resyncs["stalled"]+peer.Resyncs["silent"] > 0 {
			t.Errorf("%s has told everything anew: %v", h.Name, peer.Resyncs)
		}
	}
	p.stays(t, p.a, seqA)
	p.stays(t, p.b, seqB)
	ofA.live(t, p.a.Name)
	ofB.live(t, p.b.Name)
}

// TestSyncRefusesToStart has a daemon end with words for want of a proper key.
func TestSyncRefusesToStart(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.fresh(t, keyed(""))
	for _, tt := range []struct {
		name string
		make func(t *testing.T)
		want string
	}{
		{"no key", func(t *testing.T) { check(t, os.RemoveAll(keyFile(p.a))) }, "keygen"},
		{"a key for everybody", func(t *testing.T) { give(t, p.a, 1); check(t, os.Chmod(keyFile(p.a), 0o644)) }, "chmod 600"},
		{"no proper key", func(t *testing.T) {
			check(t, os.RemoveAll(keyFile(p.a)))
			check(t, os.WriteFile(keyFile(p.a), []byte("secret\n"), 0o600))
		}, "base64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.make(t)
			check(t, p.sys.Start(within(t), p.a))
			daemon := p.sys.Proc(p.a)
			<-daemon.Done()
			if daemon.Err() == nil {
				t.Error("it ended well")
			}
			if log := daemon.Log(); !strings.Contains(log, tt.want) || !strings.Contains(log, keyFile(p.a)) {
				t.Errorf("it says: %s", log)
			}
			if p.a.HasAddr(lab.VIP) {
				t.Error("the VIP is on the host")
			}
		})
	}
}
