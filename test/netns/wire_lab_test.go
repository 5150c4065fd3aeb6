// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"hafast/internal/control"
	"hafast/test/netns/capture"
	"hafast/test/netns/lab"
)

// wirePatience is how long the wire tests wait for what must come.
const wirePatience = 20 * time.Second

var (
	wireGroup4 = netip.MustParseAddr("224.0.0.18")
	wireGroup6 = netip.MustParseAddr("ff02::12")
	wireNodes6 = netip.MustParseAddr("ff02::1")
)

// wirePair is a lab whose two hosts run hafast with instances of the test's choice,
// and taps in front of three hosts since before that.
type wirePair struct {
	*lab.Lab
	fast         *lab.Hafast
	a, b, client *lab.Host
	// tap is the client's, where everything multicast passes; near and far are
	// those of a and b.
	tap, near, far *capture.Tap
}

// newWirePair builds the lab and starts hafast on both hosts. In the text of the
// instances PRIORITY stands for 101 or 100, OWN6 and PEER6 for link-local addresses.
func newWirePair(t *testing.T, haproxy bool, instances string) *wirePair {
	t.Helper()
	l := lab.ForTest(t, lab.Options{})
	fast, err := lab.NewHafast()
	if err != nil {
		t.Fatal(err)
	}
	w := &wirePair{Lab: l, fast: fast, client: l.Client()}
	w.a, w.b = l.Pair()
	fast.Config = func(h *lab.Host) string { return w.config(h, haproxy, instances) }
	w.tap, w.near, w.far = w.tapOn(t, w.client), w.tapOn(t, w.a), w.tapOn(t, w.b)
	for _, h := range []*lab.Host{w.a, w.b} {
		if haproxy {
			if err := h.StartHAProxy(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := fast.Start(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		// One after the other, so that the second host is Backup from the start.
		if h == w.a {
			w.settle(t, w.a)
		}
	}
	w.settle(t, w.a, w.b)
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range []*lab.Host{w.a, w.b} {
				t.Logf("log of %s:\n%s", h.Name, fast.Proc(h).Log())
			}
		}
	})
	return w
}

// config announces once and not again later, so that whatever else is announced
// has a cause that the test knows.
// The data path is off: its liveness would promote before VRRP's timers do.
func (w *wirePair) config(h *lab.Host, haproxy bool, instances string) string {
	peer, priority := w.b, "101"
	if h == w.b {
		peer, priority = w.a, "100"
	}
	check := "off"
	if haproxy {
		check = "{pidfile: " + h.HAProxyPIDFile() + "}"
	}
	head := fmt.Sprintf(`
node: %s
interface: %s
peers: [%s]
haproxy: %s
announce: {count: 1, repeat_delay: 0s, refresh: 0s}
control: {socket: %s}
state_dir: %s
xdp: off
instances:
`, h.Name, lab.Interface, peer.Addr, check, w.fast.Socket(h), w.fast.StateDir(h))
	return head + strings.NewReplacer(
		"PRIORITY", priority, "OWN6", wireLinkLocal(h).String(), "PEER6", wireLinkLocal(peer).String(),
	).Replace(instances)
}

// wireLinkLocal is the address that the kernel gives eth0 (RFC 4291 appendix A).
func wireLinkLocal(h *lab.Host) netip.Addr {
	m := h.MAC
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

func (w *wirePair) tapOn(t *testing.T, h *lab.Host) *capture.Tap {
	t.Helper()
	tap, err := capture.Open(h, lab.Interface)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tap.Close(); err != nil {
			t.Error(err)
		}
	})
	return tap
}

func wireContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), wirePatience)
	t.Cleanup(cancel)
	return ctx
}

func (w *wirePair) settle(t *testing.T, active *lab.Host, backups ...*lab.Host) {
	t.Helper()
	if err := lab.WaitSettled(wireContext(t), w.fast, active, backups...); err != nil {
		for _, h := range []*lab.Host{w.a, w.b} {
			t.Logf("log of %s:\n%s", h.Name, w.fast.Proc(h).Log())
		}
		t.Fatal(err)
	}
}

func (w *wirePair) await(t *testing.T, tap *capture.Tap, start time.Time, what string, match func(capture.Frame) bool) capture.Frame {
	t.Helper()
	f, err := tap.Await(wireContext(t), start, what, match)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func wireEventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	if err := lab.Eventually(wireContext(t), what, cond); err != nil {
		t.Fatal(err)
	}
}

// stop ends hafast on the host with SIGTERM and waits until it is gone.
func (w *wirePair) stop(t *testing.T, h *lab.Host) {
	t.Helper()
	if err := w.fast.Proc(h).Stop(wireContext(t)); err != nil {
		t.Fatal(err)
	}
}

func (w *wirePair) start(t *testing.T, h *lab.Host) {
	t.Helper()
	if err := w.fast.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
}

// status is what the host's daemon says of itself, without what changes by itself.
func (w *wirePair) status(t *testing.T, h *lab.Host) map[string]control.Instance {
	t.Helper()
	out, err := w.fast.Client(wireContext(t), h, "status", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var st control.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatal(err)
	}
	instances := make(map[string]control.Instance)
	for _, in := range st.Instances {
		instances[in.Name] = in
	}
	return instances
}

func (w *wirePair) events(t *testing.T, h *lab.Host) []control.Event {
	t.Helper()
	out, err := w.fast.Client(wireContext(t), h, "events", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var events []control.Event
	if err := json.Unmarshal([]byte(out), &events); err != nil {
		t.Fatal(err)
	}
	return events
}

// metrics scrapes the host's daemon and returns each series with its value.
func (w *wirePair) metrics(t *testing.T, h *lab.Host) map[string]float64 {
	t.Helper()
	body, err := wireGet(wireContext(t), h, "http://127.0.0.1:9405/metrics")
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]float64)
	for line := range strings.Lines(body) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if number, err := strconv.ParseFloat(value, 64); ok && err == nil && name != "#" {
			series[name] = number
		}
	}
	return series
}

// wireGet fetches a page from inside the host over a connection of its own.
func wireGet(ctx context.Context, h *lab.Host, url string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: h.Dial}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), errors.Join(err, resp.Body.Close())
}

// serves reports whether the VIP serves the web host's page to the client.
func (w *wirePair) serves(ctx context.Context, vip netip.Addr) error {
	page, err := wireGet(ctx, w.client, "http://"+netip.AddrPortFrom(vip, lab.HTTPPort).String()+"/")
	if err == nil && page != lab.PageText {
		err = fmt.Errorf("unexpected page %q", page)
	}
	return err
}

// wireAdvertOf matches adverts of the virtual router from the host; any host's if h
// is nil. IPv4 and IPv6 have VRIDs of their own in these tests.
func wireAdvertOf(h *lab.Host, vrid uint8) func(capture.Frame) bool {
	return func(f capture.Frame) bool {
		a, ip, ok := f.VRRP()
		return ok && a.VRID == vrid && (h == nil || ip.Src == h.Addr || ip.Src == wireLinkLocal(h))
	}
}

// wireAnnouncementOf matches gratuitous ARP and unsolicited neighbour advertisements
// for the address, whoever sends them.
func wireAnnouncementOf(addr netip.Addr) func(capture.Frame) bool {
	return func(f capture.Frame) bool {
		if p, ok := f.ARP(); ok {
			return p.SenderIP == addr && p.TargetIP == addr
		}
		n, ok := f.Neighbour()
		return ok && n.Type == capture.NeighbourAdvertisement && n.Target == addr && !n.Solicited
	}
}

func wireBy(h *lab.Host, match func(capture.Frame) bool) func(capture.Frame) bool {
	return func(f capture.Frame) bool { return f.Src() == capture.MACOf(h.MAC) && match(f) }
}

// answer asks one host alone for an address, once, and waits for the answer.
func (w *wirePair) answer(t *testing.T, h *lab.Host, addr netip.Addr) capture.Frame {
	t.Helper()
	start := wireClock()
	if err := w.tap.Send(w.question(addr, capture.MACOf(h.MAC))); err != nil {
		t.Fatal(err)
	}
	return w.await(t, w.tap, start, h.Name+"'s answer for "+addr.String(), wireBy(h, wireAnswerFor(addr)))
}

// silent asserts that one host does not answer for an address. It is asked for its
// own address afterwards, more than once since processors may overtake each other:
// what it has not answered by then it does not answer.
func (w *wirePair) silent(t *testing.T, h *lab.Host, addr netip.Addr) {
	t.Helper()
	start, own := wireClock(), h.Addr
	if addr.Is6() {
		own = h.Addr6
	}
	if err := w.tap.Send(w.question(addr, capture.MACOf(h.MAC))); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.answer(t, h, own)
	}
	for _, f := range w.tap.Since(start) {
		if wireBy(h, wireAnswerFor(addr))(f) {
			t.Errorf("%s answers for %s: % x", h.Name, addr, f.Data)
		}
	}
}

// question is the client's ARP request or neighbour solicitation, to one host or, for
// the Broadcast address, to whoever has the target.
func (w *wirePair) question(target netip.Addr, to capture.MAC) []byte {
	mac := capture.MACOf(w.client.MAC)
	if target.Is4() {
		return capture.ARP{Operation: 1, SenderMAC: mac, SenderIP: w.client.Addr, TargetIP: target}.Frame(to, mac)
	}
	dst := target
	if to == capture.Broadcast() {
		b := target.As16() // RFC 4291 section 2.7.1
		dst = netip.AddrFrom16([16]byte{0xff, 0x02, 11: 1, 0xff, b[13], b[14], b[15]})
		to = capture.GroupMAC(dst)
	}
	return capture.Neighbour{
		IP:   capture.IP{Src: w.client.Addr6, Dst: dst},
		Type: capture.NeighbourSolicitation, Target: target, LinkLayer: mac,
	}.Frame(to, mac)
}

func wireAnswerFor(addr netip.Addr) func(capture.Frame) bool {
	return func(f capture.Frame) bool {
		if p, ok := f.ARP(); ok {
			return p.Operation == 2 && p.SenderIP == addr && p.TargetIP != addr
		}
		n, ok := f.Neighbour()
		return ok && n.Type == capture.NeighbourAdvertisement && n.Target == addr && n.Solicited
	}
}

// onlyResponder asserts that the host, or its virtual MAC, is the only one to answer
// the client's broadcast or multicast question.
func (w *wirePair) onlyResponder(t *testing.T, vip netip.Addr, want capture.MAC) {
	t.Helper()
	macs, err := w.client.Responders(wireContext(t), vip, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(macs) != 1 || capture.MACOf(macs[0]) != want {
		t.Errorf("%s is answered for by %v, want %s alone", vip, macs, want)
	}
}

// wireClock is the wall clock now, by which the kernel stamps frames.
func wireClock() time.Time { return time.Now().Round(0) }
