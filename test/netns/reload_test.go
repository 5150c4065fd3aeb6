// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"hafast/test/netns/capture"
	"hafast/test/netns/lab"
)

// TestReload changes the configuration of the Active by SIGHUP. Whatever changes,
// the adverts of VI_1 must go on in their rhythm, so that the peer never stirs.
func TestReload(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	p := newPair(t)
	one := func(h *lab.Host, more string) string {
		return vi(h, "VI_1", 51, interval.String(), []string{lab.VIP.String()}, more)
	}
	plain := func(h *lab.Host) string { return "haproxy: off\ninstances:\n" + one(h, "") }
	p.run(t, plain)
	tap, err := capture.Open(p.Client(), lab.Interface)
	check(t, err)
	defer tap.Close()

	// try puts the configuration on a and finds out what of that was to be noticed, while
	// adverts went on and for a while afterwards. Slowest is the longest interval in use.
	try := func(t *testing.T, slowest time.Duration, conf body, outcome string) (faults []string) {
		t.Helper()
		start := time.Now().Round(0)
		before := p.instance(t, p.b, "VI_1").Transitions
		count := func() int { return len(adverts(tap, start, p.a, 51)) }
		eventually(t, "adverts before the reload", func() bool { return count() >= 2 })
		p.configure(conf)
		p.hangup(t, p.a, outcome)
		n := count()
		eventually(t, "adverts after the reload", func() bool { return count() >= n+5 })
		all := adverts(tap, start, p.a, 51)
		for i, f := range all[1:] {
			// A missed advert makes a gap of twice the interval.
			if gap := f.Time.Sub(all[i].Time); gap > slowest*19/10 {
				faults = append(faults, fmt.Sprintf("no advert for %v", gap))
			}
		}
		if in := p.instance(t, p.b, "VI_1"); in.State != "backup" || in.Transitions != before {
			faults = append(faults, fmt.Sprintf("the peer stirred: it is %s, after %d transitions", in.State, in.Transitions-before))
		}
		return faults
	}
	// reload is try without a fault. A host that was given no processor for longer than
	// its lease loses the VIP, as it should, whatever it is at: then the test goes back
	// and tries again. A reload that takes so long itself will do so every time.
	reload := func(t *testing.T, slowest time.Duration, conf body, outcome string) {
		t.Helper()
		const tries = 5
		former := p.sys.Config
		for attempt := 1; ; attempt++ {
			ofA, ofB := p.lastSeq(t, p.a), p.lastSeq(t, p.b)
			faults := try(t, slowest, conf, outcome)
			if len(faults) == 0 {
				return
			}
			stood := append(p.events(t, p.a, "lapse", ofA), p.events(t, p.b, "lapse", ofB)...)
			if len(stood) == 0 || attempt == tries {
				t.Fatalf("attempt %d: %s", attempt, strings.Join(faults, "; "))
			}
			t.Logf("attempt %d: %s. But: %s", attempt, strings.Join(faults, "; "), stood[0].Cause)
			p.sys.Config = former
			p.hangup(t, p.a, "")
			p.settled(t, p.a)
		}
	}
	const ok = "configuration reloaded"

	t.Run("priority", func(t *testing.T) {
		reload(t, interval, func(h *lab.Host) string {
			return strings.Replace(plain(h), "priority: 101", "priority: 150", 1)
		}, ok)
		sent := adverts(tap, time.Time{}, p.a, 51)
		if v, _, _ := sent[len(sent)-1].VRRP(); v.Priority != 150 {
			t.Errorf("the advert's priority is %d", v.Priority)
		}
		if in := p.instance(t, p.a, "VI_1"); in.Priority != 150 || in.EffectivePriority != 150 {
			t.Errorf("status shows %d/%d", in.Priority, in.EffectivePriority)
		}
		reload(t, interval, plain, ok)
	})

	t.Run("VIP", func(t *testing.T) {
		second := netip.MustParseAddr("10.224.147.209")
		reload(t, interval, func(h *lab.Host) string {
			return strings.Replace(plain(h), lab.VIP.String()+"]", lab.VIP.String()+", "+second.String()+"]", 1)
		}, ok)
		p.answeredBy(t, p.a, second)
		p.answeredBy(t, p.a, lab.VIP)
		if !p.a.HasAddrOn("lo", second) {
			t.Error("the new VIP is not on lo")
		}
		reload(t, interval, plain, ok)
		eventually(t, "the second VIP to go", func() bool { return !p.a.HasAddr(second) && !p.a.HasAddrOn("lo", second) })
		p.answeredBy(t, p.a, lab.VIP)
	})

	t.Run("instance", func(t *testing.T) {
		third := netip.MustParseAddr("10.224.147.210")
		reload(t, interval, func(h *lab.Host) string {
			return plain(h) + vi(h, "VI_2", 52, interval.String(), []string{third.String()}, "")
		}, ok)
		eventually(t, "the new instance to be Active", func() bool { return p.instance(t, p.a, "VI_2").State == "active" })
		p.answeredBy(t, p.a, third)
		reload(t, interval, plain, ok)
		eventually(t, "the VIP of the removed instance to go", func() bool {
			return !p.a.HasAddr(third) && !p.a.HasAddrOn("lo", third)
		})
		sent := adverts(tap, time.Time{}, p.a, 52)
		if v, _, _ := sent[len(sent)-1].VRRP(); v.Priority != 0 {
			t.Errorf("the removed instance left with priority %d, want 0", v.Priority)
		}
		if n := len(p.status(t, p.a).Instances); n != 1 {
			t.Errorf("status shows %d instances", n)
		}
	})

	t.Run("interval", func(t *testing.T) {
		for _, next := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond} {
			reload(t, max(next, interval), func(h *lab.Host) string {
				return strings.Replace(plain(h), "advert_interval: 100ms", "advert_interval: "+next.String(), 1)
			}, ok)
			sent := adverts(tap, time.Time{}, p.a, 51)
			if v, _, _ := sent[len(sent)-1].VRRP(); time.Duration(v.Centiseconds())*10*time.Millisecond != next {
				t.Errorf("adverts say %d cs, want %v", v.Centiseconds(), next)
			}
		}
		reload(t, 200*time.Millisecond, plain, ok)
	})

	t.Run("script", func(t *testing.T) {
		with := func(command string) body {
			return func(h *lab.Host) string {
				return fmt.Sprintf("haproxy: off\nscripts:\n  - {name: s, command: %s, interval: 50ms, timeout: 5s, weight: 5}\ninstances:\n", command) +
					one(h, "track: {scripts: [s]}\n")
			}
		}
		reload(t, interval, with("/bin/true"), ok)
		p.priority(t, p.a, 106)
		reload(t, interval, with("/bin/false"), ok)
		p.priority(t, p.a, 101)
		reload(t, interval, plain, ok)
	})

	t.Run("a bad file is refused", func(t *testing.T) {
		bad := func(h *lab.Host) string { return plain(h) + "intances: []\n" }
		good, refused := reloads(t, p.a, "ok"), reloads(t, p.a, "refused")
		reload(t, interval, bad, "configuration refused, the old one stays: "+p.sys.ConfigPath(p.a)+":")
		fixed := func(h *lab.Host) string { return "nice: 0\n" + plain(h) }
		reload(t, interval, fixed, "nice cannot change while hafast runs")
		p.answeredBy(t, p.a, lab.VIP)
		if n := reloads(t, p.a, "refused"); n < refused+2 {
			t.Errorf("%d refused reloads counted, want 2 more than %d, or more after another try", n, refused)
		}
		reload(t, interval, plain, ok)
		if n := reloads(t, p.a, "ok"); n < good+1 {
			t.Errorf("%d reloads counted, want 1 more than %d, or more after another try", n, good)
		}
	})

	// The counterpart of all the above: what should move the VIP does.
	t.Run("a lower priority lets the peer take over", func(t *testing.T) {
		p.configure(func(h *lab.Host) string {
			return strings.Replace(plain(h), "priority: 101", "priority: 90", 1)
		})
		p.hangup(t, p.a, ok)
		p.settled(t, p.b)
		p.configure(plain)
		p.hangup(t, p.a, ok)
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
	})
}

// adverts are those of a virtual router that the host has sent since.
func adverts(tap *capture.Tap, since time.Time, from *lab.Host, vrid uint8) (found []capture.Frame) {
	for _, f := range tap.Since(since) {
		if v, ip, ok := f.VRRP(); ok && v.VRID == vrid && ip.Src == from.Addr {
			found = append(found, f)
		}
	}
	return found
}

// reloads is the host's counter of reloads with that result.
func reloads(t *testing.T, h *lab.Host, result string) int {
	t.Helper()
	return int(sample(t, h, fmt.Sprintf("hafast_config_reloads_total{result=%q}", result)))
}

// sample is the value of one series of the host's metrics.
func sample(t *testing.T, h *lab.Host, series string) float64 {
	t.Helper()
	text, err := get(t, h, "http://127.0.0.1:9405/metrics")
	check(t, err)
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no %s", h.Name, series)
	}
	v, err := strconv.ParseFloat(found[1], 64)
	check(t, err)
	return v
}
