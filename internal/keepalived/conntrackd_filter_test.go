// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hafast/internal/config"
)

// aRouter is the keepalived.conf of a router that translates to one of its VIPs.
const aRouter = `vrrp_instance OUT {
	interface eth0
	virtual_router_id 51
	priority 101
	unicast_src_ip 192.0.2.2
	unicast_peer {
		192.0.2.3
	}
	virtual_ipaddress {
		192.0.2.1
	}
}
vrrp_instance OUT6 {
	interface eth0
	virtual_router_id 52
	priority 101
	virtual_ipaddress {
		fe80::1
		2001:db8::1
	}
}
`

func TestConntrackdFilter(t *testing.T) {
	const sync = "Sync {\n Mode NOTRACK {\n }\n UDP {\n IPv4_address 10.9.0.1\n IPv4_Destination_Address 10.9.0.2\n }\n}\nGeneral {\n"
	firstLine := 1 + strings.Count(sync, "\n")
	if firstLine != 10 {
		t.Fatalf("the filters begin in line %d", firstLine)
	}
	for _, test := range []struct {
		name, filter string // from line 10 on
		yaml         string // below peers
		warnings     []string
	}{
		{name: "none"},
		{
			name:   "what both do anyway",
			filter: "Filter From Kernelspace {\n Protocol Accept {\n TCP UDP\n }\n State Accept {\n ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK for TCP\n }\n}",
		},
		{
			name:   "a web router's",
			filter: "Filter From Userspace {\n Protocol Accept {\n TCP\n SCTP\n }\n Address Ignore {\n IPv4_address 127.0.0.1 # loopback\n IPv4_address 192.0.2.1 # virtual\n IPv4_address 10.9.0.1\n IPv4_address 198.51.100.7\n IPv6_address ::1\n }\n State Accept {\n ESTABLISHED CLOSED TIME_WAIT CLOSE_WAIT for TCP\n }\n}",
			yaml:   "filter:\n  protocols: [tcp]\n  ignore: [198.51.100.7]\n  tcp_states: [established, close_wait, time_wait, close]\n",
			warnings: []string{
				`c:13: Protocol Accept "SCTP": hafast replicates TCP, UDP, ICMP and ICMPv6 alone; left out`,
				`c:16: IPv4_address 127.0.0.1: hafast ignores loopback and the hosts' own addresses by itself; left out`,
				`c:17: IPv4_address 192.0.2.1: connections that are translated to VIP 192.0.2.1 move with it, and hafast would not replicate them; left out`,
				`c:18: IPv4_address 10.9.0.1: hafast ignores loopback and the hosts' own addresses by itself; left out`,
				`c:20: IPv6_address ::1: hafast ignores loopback and the hosts' own addresses by itself; left out`,
			},
		},
		{
			name:   "the adverts' addresses, networks with and without VIPs, twice",
			filter: "Filter {\n Address Ignore {\n IPv4_address 192.0.2.2\n IPv4_address 192.0.2.3\n IPv4_address 192.0.2.0/24\n IPv4_address 203.0.113.9/24\n IPv4_address 203.0.113.0/24\n IPv6_address 2001:db8::/32\n IPv6_address 2001:db9::/32\n }\n}",
			yaml:   "filter:\n  ignore: [203.0.113.0/24, 2001:db9::/32]\n",
			warnings: []string{
				`c:12: IPv4_address 192.0.2.2: hafast ignores loopback and the hosts' own addresses by itself; left out`,
				`c:13: IPv4_address 192.0.2.3: hafast ignores loopback and the hosts' own addresses by itself; left out`,
				`c:14: IPv4_address 192.0.2.0/24: connections that are translated to VIP 192.0.2.1 move with it, and hafast would not replicate them; left out`,
				`c:17: IPv6_address 2001:db8::/32: connections that are translated to VIP 2001:db8::1 move with it, and hafast would not replicate them; left out`,
			},
		},
		{
			name:   "no addresses",
			filter: "Filter {\n Address Ignore {\n IPv4_address 10.0.0.0/33\n IPv4_address 2001:db8::7\n IPv6_address ::ffff:10.0.0.0/104\n IPv4_address\n IPv4_address 0.0.0.0/0\n Interface eth0\n }\n}",
			warnings: []string{
				`c:12: IPv4_address 10.0.0.0/33: neither an address nor a network of that family; left out`,
				`c:13: IPv4_address 2001:db8::7: neither an address nor a network of that family; left out`,
				`c:14: IPv6_address ::ffff:10.0.0.0/104: neither an address nor a network of that family; left out`,
				`c:15: IPv4_address: neither an address nor a network of that family; left out`,
				`c:16: IPv4_address 0.0.0.0/0: this is every address there is; left out`,
				`c:17: Interface eth0: unknown keyword; left out`,
			},
		},
		{
			name:   "a list of addresses to take",
			filter: "Filter {\n Address Accept {\n IPv4_address 10.0.0.0/8\n IPv6_address fd00::/8\n }\n}",
			warnings: []string{
				`c:11: Address Accept {IPv4_address 10.0.0.0/8, IPv6_address fd00::/8}: hafast has no list of addresses to replicate, only sync.filter.ignore; left out`,
			},
		},
		{
			name:   "protocols that are not wanted",
			filter: "Filter {\n Protocol Ignore {\n UDP\n ICMP\n SCTP\n }\n}",
			yaml:   "filter:\n  protocols: [tcp]\n",
			warnings: []string{
				`c:11: Protocol Ignore {UDP, ICMP, SCTP}: conntrackd replicates all others, hafast TCP and UDP unless sync.filter.protocols says otherwise`,
			},
		},
		{
			name:   "all that conntrackd's manual lists",
			filter: "Filter {\n Protocol Accept {\n TCP SCTP DCCP UDP ICMP IPv6-ICMP\n }\n}",
			yaml:   "filter:\n  protocols: [tcp, udp, icmp, icmpv6]\n",
			warnings: []string{
				`c:12: Protocol Accept "SCTP": hafast replicates TCP, UDP, ICMP and ICMPv6 alone; left out`,
				`c:12: Protocol Accept "DCCP": hafast replicates TCP, UDP, ICMP and ICMPv6 alone; left out`,
				`c:12: Protocol Accept ICMP: the kernel calls no entry of ICMP assured; with it, hafast replicates those of UDP that nothing has answered too`,
				`c:12: Protocol Accept IPv6-ICMP: the kernel calls no entry of ICMP assured; with it, hafast replicates those of UDP that nothing has answered too`,
			},
		},
		{
			name:   "nothing that hafast replicates",
			filter: "Filter {\n Protocol Accept {\n SCTP\n }\n State Accept {\n ESTABLISHED for TCP\n }\n}",
			warnings: []string{
				`c:12: Protocol Accept "SCTP": hafast replicates TCP, UDP, ICMP and ICMPv6 alone; left out`,
				`c:11: Protocol Accept {SCTP}: this leaves nothing that hafast replicates; conntrack is turned off`,
			},
		},
		{
			name:   "states that are not wanted, over several lines",
			filter: "Filter {\n State Ignore {\n SYN_SENT SYN_RECV for TCP\n TIME_WAIT CLOSE for TCP\n LISTEN for TCP\n }\n}",
			warnings: []string{
				`c:14: State Ignore "LISTEN": no connection is replicated in such a state; left out`,
			},
		},
		{
			name:   "no state at all",
			filter: "Filter {\n State Accept {\n LISTEN for TCP\n }\n}",
			warnings: []string{
				`c:12: State Accept "LISTEN": no connection is replicated in such a state; left out`,
				`c:11: State Accept {LISTEN for TCP}: this leaves no state in which a connection would be replicated; left out`,
			},
		},
		{
			name:   "what no manual has",
			filter: "Filter From Somewhere {\n Protocol Perhaps {\n TCP\n }\n Marks Accept {\n 7\n }\n Surprise\n}",
			warnings: []string{
				`c:10: Filter: left out "From Somewhere"; keepalived reads one keyword a line`,
				`c:11: Protocol Perhaps {...}: neither Accept nor Ignore; left out`,
				`c:14: Marks Accept {...}: unknown keyword; left out`,
				`c:17: Surprise: unknown keyword; left out`,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := importFrom(memory{"k": aRouter, "c": sync + test.filter + "\n}\n"}, []string{"k", "c"})
			if err != nil {
				t.Fatal(err)
			}
			var warnings []string
			for _, w := range got.Warnings {
				if w.File == "c" && w.Line >= firstLine {
					warnings = append(warnings, w.String())
				}
			}
			if diff := cmp.Diff(byText(test.warnings), byText(warnings)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			_, rest, found := strings.Cut(string(got.YAML), "  peers: [10.9.0.2]\n")
			rest, _, _ = strings.Cut(rest, "\n#") // what is said of haproxy
			if want := indented(test.yaml); !found || rest != want {
				t.Errorf("below peers stands\n%s\nwant\n%s\nof\n%s", rest, want, got.YAML)
			}
			if on := strings.Contains(string(got.YAML), "conntrack: true"); on == (test.name == "nothing that hafast replicates") {
				t.Errorf("conntrack: %v", on)
			}
			path := filepath.Join(t.TempDir(), "hafast.yaml")
			if err := os.WriteFile(path, got.YAML, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(path); err != nil {
				t.Errorf("does not load: %v", err)
			}
		})
	}
}

// indented moves a part of the YAML two columns in.
func indented(s string) string {
	var out strings.Builder
	for line := range strings.Lines(s) {
		out.WriteString("  " + line)
	}
	return out.String()
}

// byText sorts a copy: warnings have the order of their lines only in a note.
func byText(s []string) []string { return slices.Sorted(slices.Values(s)) }
