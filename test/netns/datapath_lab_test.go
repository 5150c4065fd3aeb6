// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// dual is the configuration of a pair with a VIP of either family; more are keys of
// the file, keys those of each instance.
func dual(more, keys string) body {
	return func(h *lab.Host) string {
		return watching(h) + more + "instances:\n" + instance1(h, keys) + instance6(h, keys)
	}
}

// instance6 is VI_6 with the IPv6 VIP.
func instance6(h *lab.Host, more string) string {
	return vi(h, "VI_6", 56, "50ms", []string{lab.VIP6.String()}, more)
}

// single is dual with the IPv4 VIP alone.
func single(more, keys string) body {
	return func(h *lab.Host) string { return watching(h) + more + "instances:\n" + instance1(h, keys) }
}

// seldom has a pair that runs single send its adverts a second apart from now on: what
// then happens sooner than three of them take has not been waiting for adverts.
func (p *pair) seldom(t *testing.T) {
	t.Helper()
	p.advertEvery(t, "1s")
}

// often has it send them so quickly that three of them fit into the lease several
// times: what a host does then must not hang on their silence.
func (p *pair) often(t *testing.T) {
	t.Helper()
	p.advertEvery(t, "10ms")
}

func (p *pair) advertEvery(t *testing.T, interval string) {
	t.Helper()
	p.configure(func(h *lab.Host) string {
		return watching(h) + "instances:\n" + vi(h, "VI_1", 51, interval, []string{lab.VIP.String()}, "")
	})
	for _, h := range []*lab.Host{p.b, p.a} {
		p.hangup(t, h, "")
	}
}

// sharing waits until both hosts send new flows to both haproxies.
func (p *pair) sharing(t *testing.T) {
	t.Helper()
	p.targets(t, p.a, lab.HTTPPort, lab.HostA, lab.HostB)
	p.targets(t, p.b, lab.HTTPPort, lab.HostA, lab.HostB)
}

// targets waits until the host sends new flows of a TCP service of every VIP to
// exactly these nodes. Without nodes the service is to be gone.
func (p *pair) targets(t *testing.T, h *lab.Host, port uint16, nodes ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s to send port %d to %v", h.Name, port, nodes), func() bool {
		found := false
		for _, s := range p.status(t, h).XDP.Services {
			if s.Port != port || s.Proto != "tcp" {
				continue
			}
			if found = true; !slices.Equal(s.Targets, nodes) {
				return false
			}
		}
		return found == (len(nodes) > 0)
	})
}

// targetState waits until the host has that opinion of a node's haproxy.
func (p *pair) targetState(t *testing.T, h *lab.Host, node, state string) (found control.Target) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s to find the haproxy of %s %s", h.Name, node, state), func() bool {
		for _, target := range p.status(t, h).Targets {
			if target.Node == node && target.State == state {
				found = target
				return true
			}
		}
		return false
	})
	return found
}

// live waits until the host's session with its peer is in that state.
func (p *pair) live(t *testing.T, h *lab.Host, state string) {
	t.Helper()
	eventually(t, fmt.Sprintf("S-BFD of %s to be %s", h.Name, state), func() bool {
		sessions := p.status(t, h).Liveness
		return len(sessions) == 1 && sessions[0].State == state
	})
}

// counter is how many packets of a host had this fate.
func (p *pair) counter(t *testing.T, h *lab.Host, reason string) uint64 {
	t.Helper()
	n, there := p.status(t, h).XDP.Counters[reason]
	if !there {
		t.Fatalf("%s does not count %s", h.Name, reason)
	}
	return n
}

// transitions are the changes of an instance since seq, such as "active -> backup".
func (p *pair) transitions(t *testing.T, h *lab.Host, instance string, seq uint64) (found []string) {
	t.Helper()
	for _, ev := range p.events(t, h, "transition", seq) {
		if ev.Instance == instance {
			found = append(found, ev.From+" -> "+ev.To)
		}
	}
	return found
}

// stays checks that none of the host's instances has moved since seq.
func (p *pair) stays(t *testing.T, h *lab.Host, seq uint64) {
	t.Helper()
	for _, ev := range p.events(t, h, "transition", seq) {
		t.Errorf("%s: %s went from %s to %s: %s", h.Name, ev.Instance, ev.From, ev.To, ev.Cause)
	}
}

// xdpProgram is the XDP program on the host's eth0; 0 if there is none.
type xdpProgram struct {
	id   uint32
	mode uint32 // nl.XDP_ATTACHED_*
}

func programOn(t *testing.T, h *lab.Host) (found xdpProgram) {
	t.Helper()
	check(t, h.Do(func() error {
		link, err := netlink.LinkByName(lab.Interface)
		if err != nil {
			return err
		}
		if xdp := link.Attrs().Xdp; xdp != nil && xdp.Attached {
			found = xdpProgram{xdp.ProgId, xdp.AttachMode}
		}
		return nil
	}))
	return found
}

// driven checks that a program runs in the driver.
func driven(t *testing.T, h *lab.Host) xdpProgram {
	t.Helper()
	found := programOn(t, h)
	if found.id == 0 || found.mode != nl.XDP_ATTACHED_DRV {
		t.Errorf("%s: eth0 has program %d in mode %d, want one in the driver", h.Name, found.id, found.mode)
	}
	return found
}

// pinned reports whether the host's daemon has left anything in its BPF directory.
func (p *pair) pinned(t *testing.T, h *lab.Host) bool {
	t.Helper()
	_, err := os.Stat(p.sys.BPFDir(h))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// silenceTime is how long nobody must have answered to be silent.
const silenceTime = 250 * time.Millisecond

// silence waits until nobody has answered for addr for that long, by ARP or NDP.
func (p *pair) silence(t *testing.T, addr netip.Addr) {
	t.Helper()
	eventually(t, "nobody to answer for "+addr.String(), func() bool {
		macs, err := p.Client().Responders(t.Context(), addr, silenceTime)
		check(t, err)
		return len(macs) == 0
	})
}

// neverTwo watches who answers for addr until the returned function is called, and
// finds fault when two hosts do. One question that both have answered is no proof: it
// may have reached the one before a change and the other after it.
func (p *pair) neverTwo(t *testing.T, addr netip.Addr) (end func()) {
	t.Helper()
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for twice := false; ; {
			select {
			case <-quit:
				return
			default:
			}
			macs, err := p.Client().Responders(t.Context(), addr, 10*time.Millisecond)
			if err != nil || twice && len(macs) > 1 {
				t.Errorf("%s is answered for by %v, %v", addr, macs, err)
				return
			}
			twice = len(macs) > 1
		}
	})
	end = sync.OnceFunc(func() { close(quit); wg.Wait() })
	t.Cleanup(end)
	return end
}
