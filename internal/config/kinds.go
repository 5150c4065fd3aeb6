// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// scalar builds a kind from a function that parses one plain value. What parse
// returns beside the value is what would be right, and empty when all is well.
func scalar[V any](typ, want string, parse func(n *yaml.Node) (v V, mend string)) kind[V] {
	return kind[V]{
		typ: typ, want: want,
		read: func(d *decoder, path string, n *yaml.Node) (V, bool) {
			var zero V
			if n.Kind != yaml.ScalarNode || isNull(n) {
				d.wrongType(path, n, want)
				return zero, false
			}
			v, mend := parse(n)
			if mend != "" {
				d.fail(n.Line, last(path)+" is "+printable(n.Value), mend)
				return zero, false
			}
			return v, true
		},
	}
}

// plain reports whether a scalar stands without quotes.
func plain(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

// boolean is true or false, not YAML 1.1's yes, no, on and off, which other
// readers of the same file would take for texts.
func boolean() kind[bool] {
	const want = "true or false"
	return scalar("true or false", want, func(n *yaml.Node) (bool, string) {
		if plain(n) && (n.Value == "true" || n.Value == "false") {
			return n.Value == "true", ""
		}
		return false, "write " + want
	})
}

// integer is a decimal number. YAML's other notations are refused: 010 is 8 in
// YAML 1.1 and 10 in YAML 1.2.
func integer[V ~int | ~uint8 | ~uint16](low, high int) kind[V] {
	typ, want := fmt.Sprintf("integer %d to %d", low, high), fmt.Sprintf("a whole number from %d to %d", low, high)
	if high == low+1 {
		want = fmt.Sprintf("%d or %d", low, high)
		typ = want
	}
	return scalar(typ, want, func(n *yaml.Node) (V, string) {
		i, err := strconv.Atoi(n.Value)
		switch {
		case err != nil || i < low || i > high:
			return 0, "write " + want
		case !plain(n):
			return 0, fmt.Sprintf("write %d without quotes", i)
		case strconv.Itoa(i) != n.Value:
			return 0, fmt.Sprintf("write %d", i)
		}
		return V(i), ""
	})
}

// duration takes Go's notation and insists on a unit, save for 0.
func duration(low, high time.Duration) kind[time.Duration] {
	const example = "a number with its unit, such as 500ms, 2s or 1m30s"
	k := scalar("duration", example, func(n *yaml.Node) (time.Duration, string) {
		t, err := time.ParseDuration(n.Value)
		if err != nil {
			if _, err := strconv.ParseFloat(n.Value, 64); err == nil {
				return 0, fmt.Sprintf("write %ss for seconds or %sms for milliseconds", n.Value, n.Value)
			}
			return 0, "write " + example
		}
		if t < low || t > high {
			return 0, fmt.Sprintf("write a time from %s to %s", brief(low), brief(high))
		}
		return t, ""
	})
	k.unit = "ms, s, m, h"
	return k
}

// brief prints a duration without the zero parts that time.Duration adds: 1h, not 1h0m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// oneOf is a word of a fixed set.
func oneOf(words ...string) kind[string] {
	want := words[0]
	for i, word := range words[1:] {
		if i == len(words)-2 {
			want += " or " + word
		} else {
			want += ", " + word
		}
	}
	return scalar(want, want, func(n *yaml.Node) (string, string) {
		for _, word := range words {
			if n.Value == word {
				return word, ""
			}
		}
		return "", "write " + want
	})
}

// text is one line that is not empty.
func text(want string) kind[string] {
	return scalar("text", want, func(n *yaml.Node) (string, string) {
		if strings.TrimSpace(n.Value) == "" || strings.ContainsFunc(n.Value, unicode.IsControl) {
			return "", "write " + want + " on one line"
		}
		return n.Value, ""
	})
}

// command is what a shell would take, on one line or several.
func command() kind[string] {
	const want = "a command line"
	return scalar("command", want, func(n *yaml.Node) (string, string) {
		odd := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
		if strings.TrimSpace(n.Value) == "" || strings.ContainsFunc(n.Value, odd) {
			return "", "write " + want
		}
		return n.Value, ""
	})
}

// account is whom a command runs as.
func account() kind[string] {
	k := text("a user, or user:group")
	k.typ = "user or user:group"
	return k
}

// name is a word that goes into log lines, metrics and arguments of scripts.
func name() kind[string] {
	const want = "a name of at most 64 bytes without spaces"
	return scalar("name", want, func(n *yaml.Node) (string, string) {
		odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
		if n.Value == "" || len(n.Value) > 64 || strings.ContainsFunc(n.Value, odd) {
			return "", "write " + want
		}
		return n.Value, ""
	})
}

// device is the name of a network interface as the kernel allows it
// (dev_valid_name in net/core/dev.c).
func device() kind[string] {
	const want = "the name of a network interface, such as eth0"
	return scalar("interface", want, func(n *yaml.Node) (string, string) {
		odd := func(r rune) bool { return unicode.IsSpace(r) || r == '/' || r == ':' }
		if v := n.Value; v == "" || len(v) > 15 || v == "." || v == ".." || strings.ContainsFunc(v, odd) {
			return "", "write " + want
		}
		if n.Value == "lo" {
			return "", "write the interface that leads to the peers: lo leads nowhere"
		}
		return n.Value, ""
	})
}

// path is an absolute file name.
func path() kind[string] {
	const want = "an absolute path, such as /run/hafast/file"
	return scalar("path", want, func(n *yaml.Node) (string, string) {
		if !filepath.IsAbs(n.Value) || strings.ContainsFunc(n.Value, unicode.IsControl) {
			return "", "write " + want
		}
		return n.Value, ""
	})
}

// maxSocket is what fits sockaddr_un.sun_path with its closing zero (unix(7)).
const maxSocket = 107

// socket is the path of a unix socket.
func socket() kind[string] {
	const want = "the absolute path of a unix socket"
	return scalar("path", want, func(n *yaml.Node) (string, string) {
		switch {
		case !filepath.IsAbs(n.Value) || strings.ContainsFunc(n.Value, unicode.IsControl):
			return "", "write " + want
		case len(n.Value) > maxSocket:
			return "", fmt.Sprintf("write a path of at most %d bytes: the kernel takes no more for a unix socket", maxSocket)
		}
		return n.Value, ""
	})
}

// listen is where a TCP server listens; the empty text turns it off.
func listen() kind[string] {
	const want = `an address and port, such as "127.0.0.1:9405"`
	return scalar("address:port", want, func(n *yaml.Node) (string, string) {
		if n.Value == "" {
			return "", ""
		}
		host, port, err := net.SplitHostPort(n.Value)
		if err != nil {
			return "", "write " + want
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", "write " + want + "; ports are 1 to 65535"
		}
		if host != "" && !isAddr(host) {
			return "", "write " + want + "; the host must be an IP address, or empty for all"
		}
		return n.Value, ""
	})
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// address is an IPv4 or IPv6 unicast address of another host or our own.
func address() kind[netip.Addr] {
	return scalar("address", "an IPv4 or IPv6 address", func(n *yaml.Node) (netip.Addr, string) {
		if p, err := netip.ParsePrefix(n.Value); err == nil {
			return netip.Addr{}, fmt.Sprintf("write %s, without the prefix length", p.Addr())
		}
		return parseAddr(n.Value)
	})
}

// parseAddr returns the address, or what to write instead.
func parseAddr(s string) (netip.Addr, string) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, "write an IPv4 or IPv6 address, such as 10.0.0.1 or fd00::1"
	}
	return a, AddressRemedy(a)
}

// AddressRemedy returns what to write instead of a as the address of a host, or
// "" if a can be one.
func AddressRemedy(a netip.Addr) string {
	switch {
	case a.Zone() != "":
		return fmt.Sprintf("write %s: the interface is a key of its own", a.WithZone(""))
	case a.Is4In6():
		return fmt.Sprintf("write %s", a.Unmap())
	case a.IsUnspecified(), a.IsMulticast(), a.IsLoopback(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "write the unicast address of a host: not a loopback, multicast, broadcast or unspecified one"
	}
	return ""
}

// witness is who proves that receiving works.
func witness() kind[Witness] {
	const want = "auto, off or an IPv4 address"
	return scalar("auto, off or address", want, func(n *yaml.Node) (Witness, string) {
		switch n.Value {
		case "auto":
			return Witness{Gateway: true}, ""
		case "off":
			return Witness{}, ""
		}
		a, mend := parseAddr(n.Value)
		if mend == "" && !a.Is4() {
			mend = "write an IPv4 address: the witness is asked by ARP"
		}
		if mend != "" && !isAddr(n.Value) {
			mend = "write " + want
		}
		return Witness{Addr: a}, mend
	})
}

// vip is an address with or without its prefix length.
func vip() kind[netip.Prefix] {
	return scalar("address[/length]", "an address, such as 10.0.0.1 or 10.0.0.1/24", func(n *yaml.Node) (netip.Prefix, string) {
		p, err := netip.ParsePrefix(n.Value)
		if err != nil {
			a, mend := parseAddr(n.Value)
			if mend != "" {
				return netip.Prefix{}, mend
			}
			return netip.PrefixFrom(a, a.BitLen()), ""
		}
		if remedy := VIPRemedy(p); remedy != "" {
			return netip.Prefix{}, remedy
		}
		return p, ""
	})
}

// VIPRemedy returns what to write instead of p as a VIP with its prefix length,
// or "" if p can be one.
func VIPRemedy(p netip.Prefix) string {
	a := p.Addr()
	if remedy := AddressRemedy(a); remedy != "" {
		return remedy
	}
	switch {
	case p.Bits() == 0:
		return fmt.Sprintf("write %s, or the length of its network", a)
	case a.Is4() && p.Bits() < 31 && (a == p.Masked().Addr() || a == broadcast(p)):
		return fmt.Sprintf("write the address of a host: this is the network or broadcast address of %s", p.Masked())
	}
	return ""
}

// broadcast is the last address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// destination is a route's network; "default" gives the zero Prefix, which
// becomes 0.0.0.0/0 or ::/0 once the route's family is known.
func destination() kind[netip.Prefix] {
	const want = "default, a network such as 10.1.0.0/16, or an address"
	return scalar("network or default", want, func(n *yaml.Node) (netip.Prefix, string) {
		if n.Value == "default" {
			return netip.Prefix{}, ""
		}
		return parseNetwork(n.Value, want)
	})
}

// network is a range of addresses, or one.
func network() kind[netip.Prefix] {
	const want = "an address, or a network such as 10.1.0.0/16"
	return scalar("address or network", want, func(n *yaml.Node) (netip.Prefix, string) {
		p, mend := parseNetwork(n.Value, want)
		switch {
		case mend != "":
			return p, mend
		case p.Bits() == 0:
			return p, "write a network: this is every address there is"
		case p.Addr().Is4In6():
			return p, "write IPv4 addresses as such: 10.1.0.0/16"
		}
		return p, ""
	})
}

// parseNetwork returns the network, or what to write instead.
func parseNetwork(s, want string) (netip.Prefix, string) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, "write " + want
	}
	if p != p.Masked() {
		return p, fmt.Sprintf("write %s: %s has bits set beyond its length", p.Masked(), p)
	}
	return p, ""
}

// password is keepalived's and RFC 2338's simple text authentication. Its value
// stays out of the messages, which may end up in a log.
func password() kind[string] {
	const want = "a password of 1 to 8 bytes: the packet has room for no more"
	return kind[string]{
		typ: "text of 1 to 8 bytes", want: want,
		read: func(d *decoder, _ string, n *yaml.Node) (string, bool) {
			if n.Kind != yaml.ScalarNode || isNull(n) || n.Value == "" || len(n.Value) > 8 {
				d.fail(n.Line, "password does not fit", "write "+want)
				return "", false
			}
			return n.Value, true
		},
	}
}
