// SPDX-License-Identifier: Apache-2.0

// Package nics carries the names of a guest's interfaces from whoever starts the guest to
// the tests inside: which there are, by network, in one environment variable. The kernel
// hands it from its command line to the first process.
package nics

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Variable names the environment variable that says which interfaces a guest has.
const Variable = "HAFAST_NETWORKS"

// Network is the interfaces of a guest that are on one wire.
type Network struct {
	// Name is of lower-case letters, digits and hyphens.
	Name       string
	Interfaces []string
}

// Encode writes networks as the variable has them: "hub:eth0,eth1;pair:eth2,eth3". A
// kernel's command line takes that without quotes.
func Encode(networks []Network) string {
	var all []string
	for _, n := range networks {
		all = append(all, n.Name+":"+strings.Join(n.Interfaces, ","))
	}
	return strings.Join(all, ";")
}

// Decode finds the interfaces of a network in what Encode has written; nil if it is not
// there.
func Decode(value, network string) []string {
	for one := range strings.SplitSeq(value, ";") {
		if name, list, ok := strings.Cut(one, ":"); ok && name == network && list != "" {
			return strings.Split(list, ",")
		}
	}
	return nil
}

// Given returns the interfaces of a network of this guest; nil where there is no such
// network, as on machines that are no guest.
func Given(network string) []string { return Decode(os.Getenv(Variable), network) }

// TB is the part of testing.TB that Need uses.
type TB interface {
	Helper()
	Skip(args ...any)
}

// Need returns the interfaces of a network of this guest, and skips the test where there is
// none. The words of the skip are those that Needed reads: where the guest was given the
// network, the skip is a fault.
func Need(t TB, network string) []string {
	t.Helper()
	given := Given(network)
	if given == nil {
		t.Skip(fmt.Sprintf("needs the network %s of a guest of test/kernels", network))
	}
	return given
}

var needs = regexp.MustCompile(`needs the network ([a-z0-9-]+) of a guest`)

// Needed returns the network for want of which a test was skipped, according to its output;
// "" if that was not the reason.
func Needed(output string) string {
	if found := needs.FindStringSubmatch(output); found != nil {
		return found[1]
	}
	return ""
}
