// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// instance is a good configuration up to and including line 5; what a test adds
// stands on line 6, or on line 6 at the outermost level without the indentation.
const instance = `interface: eth0
peers: [10.0.0.2]
instances:
  - vrid: 51
    vips: [10.0.0.9]
`

func TestBadInput(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"1: is empty; write at least interface and one of instances with its vrid and vips"}},
		{"comments only", "# nothing\n", []string{"1: is empty; write at least interface and one of instances with its vrid and vips"}},
		{"null document", "---\n", []string{"1: is empty; write at least interface and one of instances with its vrid and vips"}},
		{"no keys", "- eth0\n", []string{"1: is no configuration: the outermost level has no keys; write keys with values, such as interface: eth0"}},
		{"only words", "eth0\n", []string{"1: is no configuration: the outermost level has no keys; write keys with values, such as interface: eth0"}},
		{"binary", "a: 1\n\x7fELF\x00", []string{"2: is not text: it has control characters or bytes that are not UTF-8; save the configuration as a UTF-8 text file"}},
		{"latin-1", "node: caf\xe9\n", []string{"1: is not text: it has control characters or bytes that are not UTF-8; save the configuration as a UTF-8 text file"}},
		{"tab", "haproxy:\n\tweight: 2\n", []string{"2: is no YAML: found character that cannot start any token (while scanning for the next token from line 2 on); indent with spaces: YAML allows no tabs there"}},
		{"open bracket", "peers: [10.0.0.1\n", []string{"1: is no YAML: did not find expected ',' or ']' (while parsing a flow sequence from line 1 on); look at the indentation, quotes and brackets here and in the line before"}},
		{"two documents", smallest + "---\n" + smallest, []string{"7: a second YAML document starts here; keep one document: take out the --- and what follows it"}},
		{"unknown alias", "node: *n\n", []string{"1: is no YAML: unknown anchor 'n' referenced; look at the indentation, quotes and brackets here and in the line before"}},
		{"endless alias", "instances: &i\n  - *i\n", []string{"2: alias *i stands inside what it refers to; write the value out"}},
		{"tag", "node: !!binary aGFh\n", []string{"1: YAML tag !!binary; leave the tag out: no key needs one"}},
		{"merge key", instance + "    notify: &n {any: /n}\n  - <<: *n\n    vrid: 2\n    vips: [10.0.0.8]\n", []string{"7: merge key <<; write the keys out: aliases (*name) are understood, merge keys are not"}},

		{"nothing required", "node: haa\n", []string{
			"1: key instances is missing; add instances: with a list [a, b], each a section with keys such as name:",
			"1: key interface is missing; add interface: with the network interface VRRP runs on, such as eth0",
		}},
		{"no instances", "interface: eth0\ninstances: []\n", []string{"2: instances is empty; write at least one instance with its vrid and vips"}},
		{"empty instance", "interface: eth0\ninstances:\n  -\n", []string{
			"3: key vrid is missing in instances[]; add vrid: with a whole number from 1 to 255",
			"3: key vips is missing in instances[]; add vips: with a list [a, b], each a plain address[/length], or a section with address:",
		}},
		{"no interface", "instances:\n  - {vrid: 1, vips: [10.0.0.1], interface: eth1}\n  - {vrid: 2, vips: [10.0.0.2]}\n", []string{
			"1: key interface is missing; add interface: with the network interface VRRP runs on, such as eth0",
		}},
		{"no vips", "interface: eth0\ninstances:\n  - vrid: 1\n    vips: []\n", []string{"4: vips is empty; write at least one address"}},

		{"unknown key", instance + "colour: red\n", []string{"6: unknown key \"colour\"; allowed are node, interface, peers, instances, sync_groups, haproxy, scripts, announce, nice, log, metrics, control, state_dir, services, balance, liveness, sync, xdp, flows, bpf_dir"}},
		{"mistyped key", instance + "inteface: eth1\n", []string{"6: unknown key \"inteface\"; did you mean interface?"}},
		{"mistyped short key", instance + "log: {lvel: info}\n", []string{"6: unknown key \"lvel\" in log; did you mean level? (allowed are level, format)"}},
		{"keepalived's key", instance + "    virtual_router_id: 51\n", []string{"6: unknown key \"virtual_router_id\" in instances[]; write vrid (virtual_router_id is keepalived's word)"}},
		{"keepalived's nopreempt", instance + "    nopreempt: true\n", []string{"6: unknown key \"nopreempt\" in instances[]; write preempt: false (nopreempt is keepalived's word)"}},
		{"key of another section", instance + "priority: 100\n", []string{"6: unknown key \"priority\"; move it: priority belongs in instances[]"}},
		{"key of the outermost level", instance + "    balance: shared\n", []string{"6: unknown key \"balance\" in instances[]; move it: balance belongs in the outermost level"}},
		{"duplicate key", instance + "interface: eth1\n", []string{"6: duplicate key interface, which is set on line 1 already; keep one of them"}},
		{"list as key", instance + "? [a]\n: 1\n", []string{"6: a key that is itself a list or section; write keys as plain words"}},

		{"section for a number", instance + "    priority: {a: 1}\n", []string{"6: priority is a section; write a whole number from 1 to 255"}},
		{"list for a number", instance + "    priority: [1]\n", []string{"6: priority is a list; write a whole number from 1 to 255"}},
		{"nothing for a number", instance + "    priority:\n", []string{"6: priority is empty; write a whole number from 1 to 255"}},
		{"word for a number", instance + "    priority: high\n", []string{"6: priority is \"high\"; write a whole number from 1 to 255"}},
		{"quoted number", instance + "    priority: \"7\"\n", []string{"6: priority is \"7\"; write 7 without quotes"}},
		{"octal number", instance + "    priority: 010\n", []string{"6: priority is \"010\"; write 10"}},
		{"fraction", instance + "    priority: 1.5\n", []string{"6: priority is \"1.5\"; write a whole number from 1 to 255"}},
		{"priority 0", instance + "    priority: 0\n", []string{"6: priority is \"0\"; write a whole number from 1 to 255"}},
		{"priority 256", instance + "    priority: 256\n", []string{"6: priority is \"256\"; write a whole number from 1 to 255"}},
		{"vrid 0", strings.Replace(instance, "51", "0", 1), []string{"4: vrid is \"0\"; write a whole number from 1 to 255"}},
		{"vrid 256", strings.Replace(instance, "51", "256", 1), []string{"4: vrid is \"256\"; write a whole number from 1 to 255"}},
		{"word for a list", instance + "sync_groups: all\n", []string{"6: sync_groups is \"all\"; write a list [a, b], each a section with keys such as name:"}},
		{"word for a section", instance + "log: debug\n", []string{"6: log is \"debug\"; write a section with keys such as level:"}},
		{"yes for true", instance + "    preempt: yes\n", []string{"6: preempt is \"yes\"; write true or false"}},
		{"too many peers", strings.Replace(instance, "10.0.0.2", "10.1.0.1, 10.1.0.2, 10.1.0.3, 10.1.0.4, 10.1.0.5, 10.1.0.6, 10.1.0.7, 10.1.0.8, 10.1.0.9, 10.1.0.10, 10.1.0.11, 10.1.0.12, 10.1.0.13, 10.1.0.14, 10.1.0.15, 10.1.0.16", 1), []string{"2: 16 peers are too many; name at most 15: flows go to no more hosts than that and this one"}},
		{"bad witness", instance + "liveness: {witness: gateway}\n", []string{"6: witness is \"gateway\"; write auto, off or an IPv4 address"}},
		{"IPv6 witness", instance + "liveness: {witness: fd00::1}\n", []string{"6: witness is \"fd00::1\"; write an IPv4 address: the witness is asked by ARP"}},
		{"bad choice", instance + "xdp: on\n", []string{"6: xdp is \"on\"; write auto, native, generic or off"}},
		{"haproxy neither off nor section", instance + "haproxy: on\n", []string{"6: haproxy is \"on\"; write off or a section with keys such as pidfile:"}},
		{"services neither auto nor list", instance + "services: all\n", []string{"6: services is \"all\"; write auto or a list [a, b], each a section with keys such as vip:"}},

		{"duration without unit", instance + "    advert_interval: 1\n", []string{"6: advert_interval is \"1\"; write 1s for seconds or 1ms for milliseconds"}},
		{"duration with a wrong unit", instance + "    preempt_delay: 1 day\n", []string{"6: preempt_delay is \"1 day\"; write a number with its unit, such as 500ms, 2s or 1m30s"}},
		{"negative duration", instance + "    preempt_delay: -1s\n", []string{"6: preempt_delay is \"-1s\"; write a time from 0s to 24h"}},
		{"interval too short", instance + "    advert_interval: 9ms\n", []string{"6: advert_interval is \"9ms\"; write a time from 10ms to 4m15s"}},
		{"interval too long", instance + "    advert_interval: 41s\n", []string{"6: advert_interval 41s is too long for version 3; write 40.95s or less"}},
		{"interval in between", instance + "    advert_interval: 17ms\n", []string{"6: advert_interval 17ms is no multiple of 10ms; write 20ms: adverts carry hundredths of a second"}},
		{"version 2, interval below a second", instance + "    version: 2\n    advert_interval: 100ms\n", []string{"7: advert_interval 100ms with version 2; write whole seconds, such as 1s, or use version: 3"}},
		{"version 2, interval with a fraction", instance + "    version: 2\n    advert_interval: 1.5s\n", []string{"7: advert_interval 1.5s with version 2; write whole seconds, such as 1s, or use version: 3"}},
		{"version 2 with IPv6", strings.Replace(instance, "[10.0.0.9]", "[fd00::9]", 1) + "    version: 2\n", []string{"6: version 2 with IPv6 VIPs; write version: 3: version 2 is IPv4 only"}},
		{"version 4", instance + "    version: 4\n", []string{"6: version is \"4\"; write 2 or 3"}},
		{"password with version 3", instance + "    auth: {password: x}\n", []string{"6: auth with version 3; leave auth out: version 3 has none (RFC 9568 section 9); or write version: 2"}},
		{"password too long", instance + "    version: 2\n    auth: {password: 123456789}\n", []string{"7: password does not fit; write a password of 1 to 8 bytes: the packet has room for no more"}},
		{"authentication header", instance + "    version: 2\n    auth: {type: ah, password: x}\n", []string{"7: type is \"ah\"; write pass"}},

		{"bad VIP", strings.Replace(instance, "10.0.0.9", "10.0.0.256", 1), []string{"5: address is \"10.0.0.256\"; write an IPv4 or IPv6 address, such as 10.0.0.1 or fd00::1"}},
		{"network as VIP", strings.Replace(instance, "10.0.0.9", "10.0.0.0/24", 1), []string{"5: address is \"10.0.0.0/24\"; write the address of a host: this is the network or broadcast address of 10.0.0.0/24"}},
		{"broadcast as VIP", strings.Replace(instance, "10.0.0.9", "10.0.0.255/24", 1), []string{"5: address is \"10.0.0.255/24\"; write the address of a host: this is the network or broadcast address of 10.0.0.0/24"}},
		{"multicast as VIP", strings.Replace(instance, "10.0.0.9", "224.0.0.18", 1), []string{"5: address is \"224.0.0.18\"; write the unicast address of a host: not a loopback, multicast, broadcast or unspecified one"}},
		{"mapped VIP", strings.Replace(instance, "10.0.0.9", "\"::ffff:10.0.0.9\"", 1), []string{"5: address is \"::ffff:10.0.0.9\"; write 10.0.0.9"}},
		{"VIP with zone", strings.Replace(instance, "10.0.0.9", "fe80::1%eth0", 1), []string{"5: address is \"fe80::1%eth0\"; write fe80::1: the interface is a key of its own"}},
		{"VIPs of both families", strings.Replace(instance, "[10.0.0.9]", "[10.0.0.9, fd00::9]", 1), []string{"5: VIP fd00::9 is IPv6, but 10.0.0.9 before it is IPv4; move the IPv6 addresses to an instance of their own"}},
		{"VIP twice", strings.Replace(instance, "[10.0.0.9]", "[10.0.0.9, 10.0.0.9/24]", 1), []string{"5: VIP 10.0.0.9 is there twice, first on line 5; keep one of them"}},
		{"VIP in two instances", instance + "  - {vrid: 52, vips: [10.0.0.9]}\n", []string{"6: VIP 10.0.0.9 is there twice, first on line 5; keep one of them"}},
		{"VIP is a peer", strings.Replace(instance, "10.0.0.9", "10.0.0.2", 1), []string{"5: VIP 10.0.0.2 is also one of peers; peers are the other hosts' own addresses: take the VIP out there"}},
		{"VIP is the instance's peer", instance + "    peers: [10.0.0.9]\n", []string{"6: peer 10.0.0.9 is a VIP; write the other host's own address"}},
		{"VIP is the source", instance + "    source: 10.0.0.9\n", []string{"5: VIP 10.0.0.9 is also the source of the adverts; write this host's own address as source, or priority: 255 if it owns the VIP"}},
		{"no VIP advertised", strings.Replace(instance, "[10.0.0.9]", "[{address: 10.0.0.9, advertise: false}]", 1), []string{"5: no VIP is advertised; leave advertise: false out of at least one of them"}},
		{"VIP section without address", strings.Replace(instance, "[10.0.0.9]", "[{interface: eth1}]", 1), []string{"5: key address is missing in instances[].vips[]; add address: with an address, such as 10.0.0.1 or 10.0.0.1/24"}},
		{"label of another interface", strings.Replace(instance, "[10.0.0.9]", "[{address: 10.0.0.9, label: web}]", 1), []string{"5: label is \"web\"; write at most 15 bytes that start with eth0"}},
		{"label on IPv6", strings.Replace(instance, "[10.0.0.9]", "[{address: \"fd00::9\", label: \"eth0:1\"}]", 1), []string{"5: label on an IPv6 address; leave it out: the kernel has labels for IPv4 alone"}},

		{"vrid twice", instance + "  - {name: b, vrid: 51, vips: [10.0.0.8]}\n", []string{"6: vrid 51 is there twice for IPv4 on eth0, first on line 4; give each instance of an interface its own vrid, the same one on all hosts"}},
		{"name twice", instance + "    name: a\n  - {name: a, vrid: 52, vips: [10.0.0.8]}\n", []string{"7: instance a is there twice, first on line 6; give each a name of its own"}},
		{"bad name", instance + "    name: my router\n", []string{"6: name is \"my router\"; write a name of at most 64 bytes without spaces"}},
		{"bad interface", instance + "    interface: averylonginterfacename\n", []string{"6: interface is \"averylonginterfacename\"; write the name of a network interface, such as eth0"}},
		{"loopback interface", instance + "    interface: lo\n", []string{"6: interface is \"lo\"; write the interface that leads to the peers: lo leads nowhere"}},

		{"peer is a host name", strings.Replace(instance, "10.0.0.2", "hab", 1), []string{"2: peers is \"hab\"; write an IPv4 or IPv6 address, such as 10.0.0.1 or fd00::1"}},
		{"peer with length", strings.Replace(instance, "10.0.0.2", "10.0.0.2/24", 1), []string{"2: peers is \"10.0.0.2/24\"; write 10.0.0.2, without the prefix length"}},
		{"peer twice", strings.Replace(instance, "[10.0.0.2]", "[10.0.0.2, 10.0.0.2]", 1), []string{"2: peer 10.0.0.2 is there twice; keep one of them"}},
		{"peer is no list", strings.Replace(instance, "[10.0.0.2]", "10.0.0.2", 1), []string{"2: peers is \"10.0.0.2\"; write a list [a, b], each an IPv4 or IPv6 address"}},
		{"peer of the other family", instance + "    peers: [fd00::2]\n", []string{"6: peer fd00::2 is IPv6, the instance's VIPs are IPv4; write the peer's IPv4 address"}},
		{"peer is the source", instance + "    source: 10.0.0.2\n", []string{"2: peer 10.0.0.2 is this host's own source; peers are the other hosts: leave this one out"}},
		{"source of the other family", instance + "    source: fd00::1\n", []string{"6: source fd00::1 is IPv6, the instance is IPv4; write an IPv4 address"}},
		{"unicast without peers", strings.Replace(instance, "[10.0.0.2]", "[fd00::2]", 1) + "    unicast: true\n", []string{"6: unicast without an IPv4 peer; add the other hosts' IPv4 addresses to peers"}},

		{"unknown script", instance + "    track: {scripts: [chk_haproxi]}\nscripts: [{name: chk_haproxy, command: /bin/true}]\n", []string{"6: unknown script chk_haproxi; did you mean chk_haproxy? (allowed are chk_haproxy)"}},
		{"no scripts at all", instance + "    track: {scripts: [chk]}\n", []string{"6: unknown script chk; add it to scripts: at the top, with its name and command"}},
		{"script twice", instance + "scripts: [{name: a, command: x}, {name: a, command: y}]\n", []string{"6: script a is there twice, first on line 6; give each a name of its own"}},
		{"script tracked twice", instance + "    track: {scripts: [a, a]}\nscripts: [{name: a, command: x}]\n", []string{"6: tracked script a is there twice, first on line 6; give each a name of its own"}},
		{"script without command", instance + "scripts: [{name: a}]\n", []string{"6: key command is missing in scripts[]; add command: with a command line"}},
		{"empty command", instance + "scripts: [{name: a, command: \" \"}]\n", []string{"6: command is \" \"; write a command line"}},
		{"weight too low", instance + "haproxy: {weight: -254}\n", []string{"6: weight is \"-254\"; write a whole number from -253 to 253"}},
		{"weight too high", instance + "haproxy: {weight: 254}\n", []string{"6: weight is \"254\"; write a whole number from -253 to 253"}},
		{"weight with a unit", instance + "haproxy: {weight: 2s}\n", []string{"6: weight is \"2s\"; write a whole number from -253 to 253"}},

		{"route to nowhere", instance + "    routes: [{to: home}]\n", []string{"6: to is \"home\"; write default, a network such as 10.1.0.0/16, or an address"}},
		{"route with host bits", instance + "    routes: [{to: 10.1.2.3/16}]\n", []string{"6: to is \"10.1.2.3/16\"; write 10.1.0.0/16: 10.1.2.3/16 has bits set beyond its length"}},
		{"route via the other family", instance + "    routes: [{to: 10.1.0.0/16, via: fd00::1}]\n", []string{"6: via fd00::1 is IPv6, the route's destination is IPv4; write an IPv4 address"}},

		{"group with unknown instance", instance + "sync_groups: [{name: g, instances: [VI_15]}]\n", []string{"6: unknown instance VI_15; did you mean VI_51? (allowed are VI_51)"}},
		{"instance in two groups", instance + "sync_groups:\n  - {name: a, instances: [VI_51]}\n  - {name: b, instances: [VI_51]}\n", []string{"8: instance VI_51 is in sync group a already; leave it in one group"}},
		{"group twice", instance + "  - {vrid: 2, vips: [10.0.0.8]}\nsync_groups:\n  - {name: a, instances: [VI_51]}\n  - {name: a, instances: [VI_2]}\n", []string{"9: sync group a is there twice, first on line 8; give each a name of its own"}},
		{"empty group", instance + "sync_groups: [{name: a, instances: []}]\n", []string{"6: instances is empty; name the instances of the group"}},

		{"relative path", instance + "state_dir: run\n", []string{"6: state_dir is \"run\"; write an absolute path, such as /run/hafast/file"}},
		{"socket path too long", instance + "control: {socket: /" + strings.Repeat("x", 107) + "}\n", []string{"6: socket is \"/" + strings.Repeat("x", 59) + "...\"; write a path of at most 107 bytes: the kernel takes no more for a unix socket"}},
		{"port alone", instance + "metrics: {listen: 9405}\n", []string{"6: listen is \"9405\"; write an address and port, such as \"127.0.0.1:9405\""}},
		{"port too high", instance + "metrics: {listen: \"127.0.0.1:94050\"}\n", []string{"6: listen is \"127.0.0.1:94050\"; write an address and port, such as \"127.0.0.1:9405\"; ports are 1 to 65535"}},
		{"metrics on a host name", instance + "metrics: {listen: \"localhost:9405\"}\n", []string{"6: listen is \"localhost:9405\"; write an address and port, such as \"127.0.0.1:9405\"; the host must be an IP address, or empty for all"}},
		{"service of no VIP", instance + "services: [{vip: 10.0.0.10, port: 80}]\n", []string{"6: 10.0.0.10 is the VIP of no instance; write one of the addresses under vips"}},
		{"service port", instance + "services: [{vip: 10.0.0.9, port: 0}]\n", []string{"6: port is \"0\"; write a whole number from 1 to 65535"}},
		{"sync without key", instance + "sync: {conntrack: true}\n", []string{"6: key key_file is missing in sync; add key_file: with an absolute path, such as /run/hafast/file"}},
		{"sync is a word", instance + "sync: on\n", []string{"6: sync is \"on\"; write a section with keys such as key_file:"}},
		{"empty sync", instance + "sync:\n", []string{"6: key key_file is missing in sync; add key_file: with an absolute path, such as /run/hafast/file"}},
		{"sync listens on a VIP", instance + "sync: {key_file: /k, listen: 10.0.0.9}\n", []string{"6: listen 10.0.0.9 is a VIP; write this host's own address on the sync link"}},
		{"sync peer is a VIP", instance + "sync: {key_file: /k, peers: [10.0.0.9]}\n", []string{"6: peer 10.0.0.9 is a VIP; write the other host's own address on the sync link"}},
		{"sync peer is this host", instance + "sync: {key_file: /k, listen: 10.9.0.1, peers: [10.9.0.1]}\n", []string{"6: peer 10.9.0.1 is this host's own listen; peers are the other hosts: leave this one out"}},
		{"sync peer of the other family", instance + "sync: {key_file: /k, listen: 10.9.0.1, peers: [fd00::2]}\n", []string{"6: peer fd00::2 is IPv6, listen is IPv4; write the peer's IPv4 address"}},
		{"sync peer twice", instance + "sync:\n  key_file: /k\n  peers: [10.9.0.2, 10.9.0.2]\n", []string{"8: peer 10.9.0.2 is there twice; keep one of them"}},
		{"too many sync peers", instance + "sync: {key_file: /k, peers: [10.1.0.1, 10.1.0.2, 10.1.0.3, 10.1.0.4, 10.1.0.5, 10.1.0.6, 10.1.0.7, 10.1.0.8, 10.1.0.9, 10.1.0.10, 10.1.0.11, 10.1.0.12, 10.1.0.13, 10.1.0.14, 10.1.0.15, 10.1.0.16]}\n", []string{"6: 16 peers are too many; name at most 15"}},
		{"filter of an unknown protocol", instance + "sync: {key_file: /k, filter: {protocols: [tcp, sctp]}}\n", []string{"6: protocols is \"sctp\"; write tcp, udp, icmp or icmpv6"}},
		{"filter of no protocol", instance + "sync: {key_file: /k, filter: {protocols: []}}\n", []string{"6: protocols is empty; name at least one protocol, or set sync.conntrack: false"}},
		{"protocol twice", instance + "sync: {key_file: /k, filter: {protocols: [tcp, udp, tcp]}}\n", []string{"6: protocol tcp is there twice; keep one of them"}},
		{"state as conntrack writes it", instance + "sync: {key_file: /k, filter: {tcp_states: [ESTABLISHED]}}\n", []string{"6: tcp_states is \"ESTABLISHED\"; write syn_sent, syn_recv, established, fin_wait, close_wait, last_ack, time_wait or close"}},
		{"filter of a host name", instance + "sync: {key_file: /k, filter: {ignore: [hab]}}\n", []string{"6: ignore is \"hab\"; write an address, or a network such as 10.1.0.0/16"}},
		{"filter of a network with host bits", instance + "sync: {key_file: /k, filter: {ignore: [10.1.2.3/16]}}\n", []string{"6: ignore is \"10.1.2.3/16\"; write 10.1.0.0/16: 10.1.2.3/16 has bits set beyond its length"}},
		{"filter of everything", instance + "sync: {key_file: /k, filter: {ignore: [0.0.0.0/0]}}\n", []string{"6: ignore is \"0.0.0.0/0\"; write a network: this is every address there is"}},
		{"filter of a mapped address", instance + "sync: {key_file: /k, filter: {ignore: [\"::ffff:10.0.0.1\"]}}\n", []string{"6: ignore is \"::ffff:10.0.0.1\"; write IPv4 addresses as such: 10.1.0.0/16"}},
		{"filter key at the wrong place", instance + "sync: {key_file: /k, protocols: [tcp]}\n", []string{"6: unknown key \"protocols\" in sync; move it: protocols belongs in sync.filter"}},

		{"all at once, by line", "interface: [eth0]\ninstances:\n  - vrid: 300\n    priority: 0\n    vips: [nowhere]\nlogs: {}\n", []string{
			"1: interface is a list; write the name of a network interface, such as eth0",
			"3: vrid is \"300\"; write a whole number from 1 to 255",
			"4: priority is \"0\"; write a whole number from 1 to 255",
			"5: address is \"nowhere\"; write an IPv4 or IPv6 address, such as 10.0.0.1 or fd00::1",
			"6: unknown key \"logs\"; did you mean log?",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := Parse("f.yaml", []byte(test.text))
			if c != nil {
				t.Error("a configuration beside the error")
			}
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("error is %T (%v), want Errors", err, err)
			}
			var got []string
			for _, e := range errs {
				got = append(got, strings.TrimPrefix(e.Error(), "f.yaml:"))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestAliasBomb has a few hundred bytes that would expand to billions of values.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i <= 9; i++ {
		fmt.Fprintf(&b, "l%d: &l%d [%s*l%d]\n", i, i, strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 9), i-1)
	}
	_, err := Parse("f.yaml", []byte(b.String()))
	want := "f.yaml:5: aliases expand to more than 20000 values; write the values out"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestSameVRIDElsewhere(t *testing.T) {
	for name, text := range map[string]string{
		"other family":    instance + "  - {name: six, vrid: 51, vips: [fd00::9]}\n",
		"other interface": instance + "  - {name: b, vrid: 51, vips: [10.0.0.8], interface: eth1}\n",
	} {
		if _, err := Parse("f.yaml", []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrorsUnwrap(t *testing.T) {
	_, err := Parse("f.yaml", []byte("interface: eth0\ninstances: 3\nnode: [a]\n"))
	err = fmt.Errorf("reload: %w", err)
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 2 {
		t.Fatalf("%d problems found in %v, want 2", len(errs), err)
	}
	var one *Error
	if !errors.As(err, &one) || one.Line != 2 {
		t.Errorf("first problem is %+v, want that of line 2", one)
	}
}
