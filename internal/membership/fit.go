// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"hafast/internal/steering"
)

// ErrLeftOut is wrapped by what Fit returns when something did not fit.
var ErrLeftOut = errors.New("left out of the hello")

// Fit makes a hello one that can be sent: services in order, texts printable and
// cut to their length, addresses in their plain form. What is beyond a bound or
// makes no sense is left out, and the error says what; the hello is good all the
// same, since a host that has too much to say must still be heard.
func Fit(h Hello) (Hello, error) {
	var out []error
	leave := func(n int, what string) {
		if n > 0 {
			out = append(out, fmt.Errorf("%w: %d %s", ErrLeftOut, n, what))
		}
	}
	h.Software, h.Node, h.Reason = fitText(h.Software), fitText(h.Node), fitText(h.Reason)
	h.Addresses = fitAddresses(h.Addresses, leave)
	if n := len(h.Legs) - MaxLegs; n > 0 {
		h.Legs = h.Legs[:MaxLegs]
		leave(n, "legs")
	}
	if n := len(h.Routers) - MaxRouters; n > 0 {
		h.Routers = h.Routers[:MaxRouters]
		leave(n, "virtual routers")
	}
	h.Services = fitServices(h.Services, leave)
	return h, errors.Join(out...)
}

func fitText(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	for len(s) > MaxText {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

func fitAddresses(list []netip.Addr, leave func(int, string)) []netip.Addr {
	var out []netip.Addr
	bad := 0
	for _, a := range list {
		if a = plain(a); !unicast(a) {
			bad++
		} else if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	leave(bad, "addresses that are no host's")
	leave(len(out)-MaxAddresses, fmt.Sprintf("addresses beyond %d", MaxAddresses))
	return out[:min(len(out), MaxAddresses)]
}

func fitServices(list []steering.Service, leave func(int, string)) []steering.Service {
	var four, six []steering.Service
	bad := 0
	for _, s := range list {
		s.VIP = plain(s.VIP)
		switch {
		case checkServices([]steering.Service{s}) != nil:
			bad++
		case s.VIP.Is4():
			four = append(four, s)
		default:
			six = append(six, s)
		}
	}
	leave(bad, "services that are no good")
	fit := func(list []steering.Service, family string) []steering.Service {
		slices.SortFunc(list, steering.Service.Compare)
		list = slices.Compact(list)
		leave(len(list)-MaxServices, fmt.Sprintf("services beyond %d of %s", MaxServices, family))
		return list[:min(len(list), MaxServices)]
	}
	return slices.Concat(fit(four, "IPv4"), fit(six, "IPv6"))
}

// plain is the form of an address that compares equal everywhere: zones are a
// host's own.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
