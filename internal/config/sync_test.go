// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSyncPeers(t *testing.T) {
	const two = `interface: eth0
peers: [10.0.0.2, fd00::2]
instances:
  - {vrid: 1, vips: [10.0.0.9]}
`
	for _, tt := range []struct {
		name, sync, want string
		on               bool
	}{
		{"no sync", "", "10.0.0.2 fd00::2", false},
		{"a key alone", "sync: {key_file: /k}\n", "10.0.0.2 fd00::2", true},
		{"IPv4 sync link", "sync: {key_file: /k, listen: 10.9.0.1}\n", "10.0.0.2", true},
		{"IPv6 sync link", "sync: {key_file: /k, listen: \"fd09::1\"}\n", "fd00::2", true},
		{"another link", "sync: {key_file: /k, peers: [10.9.0.2]}\n", "10.9.0.2", true},
		{"nobody", "sync: {key_file: /k, peers: []}\n", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := parse(t, two+tt.sync)
			var got []string
			for _, peer := range c.Sync.Peers {
				got = append(got, peer.String())
			}
			if strings.Join(got, " ") != tt.want || c.Sync.On() != tt.on {
				t.Errorf("peers %v, on: %v; want %q, %v", got, c.Sync.On(), tt.want, tt.on)
			}
		})
	}
}

// Parsing one file does not change what another has by default.
func TestFilterDefaultsAreNotShared(t *testing.T) {
	parse(t, smallest).Sync.Filter.Protocols[0] = "changed"
	if got := parse(t, smallest).Sync.Filter.Protocols[0]; got != "tcp" {
		t.Errorf("first protocol is %s, want tcp", got)
	}
}

func TestIgnored(t *testing.T) {
	c := parse(t, `interface: eth0
peers: [10.0.0.2]
instances:
  - {vrid: 1, vips: [10.0.0.9/24], source: 10.0.0.1}
  - {vrid: 2, vips: [10.0.0.8], peers: [10.0.0.3]}
sync:
  key_file: /k
  listen: 10.9.0.1
  peers: [10.9.0.2]
  filter: {ignore: [192.168.0.0/16, 10.0.0.2]}
`)
	var got []string
	for _, p := range c.Ignored() {
		got = append(got, p.String())
	}
	want := []string{
		"10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32", "10.9.0.1/32", "10.9.0.2/32",
		"127.0.0.0/8", "192.168.0.0/16", "::1/128",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
	if n := len(c.Sync.Filter.Ignore); n != 2 || c.Sync.Filter.Ignore[0] != netip.MustParsePrefix("192.168.0.0/16") {
		t.Errorf("the filter itself has become %v", c.Sync.Filter.Ignore)
	}
}

func TestUnassured(t *testing.T) {
	for protocols, want := range map[string]bool{"tcp, udp": false, "tcp, icmp": true, "icmpv6": true} {
		c := parse(t, smallest+"sync: {key_file: /k, filter: {protocols: ["+protocols+"]}}\n")
		if got := c.Sync.Filter.Unassured(); got != want {
			t.Errorf("protocols %s: unassured %v, want %v", protocols, got, want)
		}
	}
}

// haa is one host of a pair, with all that counts and much that does not.
const haa = `node: haa
interface: eth0
peers: [10.0.0.2]
instances:
  - {name: web, vrid: 51, priority: 101, vips: [10.0.0.9/24, 10.0.0.8]}
  - {name: six, vrid: 51, vips: ["fe80::9"]}
services: [{vip: 10.0.0.9, port: 443}, {vip: 10.0.0.8, port: 53, proto: udp}]
balance: local
sync: {key_file: /k, conntrack: true}
`

func TestSharedHash(t *testing.T) {
	// The value is on the wire: another one makes this version call every older peer's
	// configuration different.
	const want = 0x01acfec5482cf87b
	first := parse(t, haa)
	if got := first.SharedHash(); got != want {
		t.Errorf("hash %#x, want %#x, of:\n%s", got, uint64(want), strings.Join(first.sharedLines(), "\n"))
	}
	alike := map[string]string{
		"the other host": `balance: local
sync: {listen: 10.9.0.2, conntrack: true, peers: [10.9.0.1], key_file: /etc/k, filter: {protocols: [tcp]}}
services: [{port: 53, proto: udp, vip: 10.0.0.8}, {proto: tcp, vip: 10.0.0.9, port: 443}]
instances:
  - {vips: ["fe80::9"], vrid: 51, name: six, interface: ens4}
  - {vips: [10.0.0.8, 10.0.0.9], vrid: 51, name: web, interface: ens3, preempt: false, advert_interval: 2s}
peers: [10.0.0.1]
node: hab
haproxy: off
flows: 4096
`,
		"a service twice": strings.Replace(haa, "services: [", "services: [{vip: 10.0.0.9, port: 443}, ", 1),
	}
	for name, text := range alike {
		if got := parse(t, text); got.SharedHash() != first.SharedHash() {
			t.Errorf("%s: hash differs (-haa +it):\n%s", name, cmp.Diff(first.sharedLines(), got.sharedLines()))
		}
	}
	seen := map[uint64]string{first.SharedHash(): "haa"}
	for name, change := range map[string][2]string{
		"name":               {"name: web", "name: www"},
		"vrid":               {"six, vrid: 51", "six, vrid: 52"},
		"VIP changed":        {"10.0.0.9/24,", "10.0.0.9/24, 10.0.0.7,"},
		"VIP moved":          {", 10.0.0.8]}", "]}\n  - {name: more, vrid: 53, vips: [10.0.0.8]}"},
		"service's port":     {"port: 443", "port: 444"},
		"service's protocol": {", proto: udp", ""},
		"services found out": {"services: [{vip: 10.0.0.9, port: 443}, {vip: 10.0.0.8, port: 53, proto: udp}]\n", ""},
		"balance":            {"local", "shared"},
		"no conntrack":       {", conntrack: true", ""},
		"no sync":            {"sync: {key_file: /k, conntrack: true}\n", ""},
		"no flows":           {"balance: local", "balance: local\nxdp: off"},
	} {
		text := strings.Replace(haa, change[0], change[1], 1)
		hash := parse(t, text).SharedHash()
		if same, ok := seen[hash]; ok {
			t.Errorf("%s: the hash is that of %s", name, same)
		}
		seen[hash] = name
	}
}
