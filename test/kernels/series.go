// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Newest names the newest kernel that is served, whatever its version.
const Newest = "newest"

// Series is a line of kernels, and where Debian serves it.
type Series struct {
	Name   string // as in "6.1", or Newest
	Suites []Suite
}

// Suite is a part of a Debian archive.
type Suite struct {
	Name     string // as in "bookworm-security"
	Security bool   // in the archive of security updates
}

// catalog is where the kernels are. A series that ends there is reported as not
// served, and its line here is then due for another suite.
var catalog = []Series{
	{Name: "5.10", Suites: []Suite{{Name: "bullseye-security", Security: true}}},
	{Name: "6.1", Suites: bookworm},
	{Name: "6.12", Suites: bookworm},
	{Name: Newest, Suites: []Suite{{Name: "trixie-backports"}}},
}

var bookworm = []Suite{{Name: "bookworm"}, {Name: "bookworm-security", Security: true}}

// SmokeSeries are the kernels that most users run.
func SmokeSeries() []string { return []string{"6.1", "6.12"} }

// AllSeries are the kernels of a full run, oldest first.
func AllSeries() []string {
	names := make([]string, len(catalog))
	for i, s := range catalog {
		names[i] = s.Name
	}
	return names
}

// FindSeries looks series up by name.
func FindSeries(names []string) ([]Series, error) {
	if len(names) == 0 {
		return nil, errors.New("no kernel is named")
	}
	var found []Series
	for _, name := range names {
		i := slices.IndexFunc(catalog, func(s Series) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no kernel %q; there are %s", name, strings.Join(AllSeries(), ", "))
		}
		found = append(found, catalog[i])
	}
	return found, nil
}

const (
	imagePrefix = "linux-image-"
	imageSuffix = "-cloud-amd64" // without the drivers of real hardware: a third of the size
)

// version matches what stands between prefix and suffix: "6.1.0-57", "6.12.117+deb12".
// Unsigned images, debug symbols and real-time kernels have other names.
var version = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+([-+](deb)?[0-9]+)?$`)

// newestImage picks the series' newest package among names, or "".
func (s Series) newestImage(names []string) string {
	best := ""
	for _, name := range names {
		v, ok := imageVersion(name)
		if !ok || s.Name != Newest && !strings.HasPrefix(v, s.Name+".") {
			continue
		}
		if best == "" || compareVersions(v, mustVersion(best)) > 0 {
			best = name
		}
	}
	return best
}

// seriesOf names the series in whose row of the catalog a release belongs.
func seriesOf(release string) string {
	for _, s := range catalog {
		if s.newestImage([]string{imagePrefix + release}) != "" {
			return s.Name // Newest, which takes all, is the last
		}
	}
	return ""
}

func imageVersion(name string) (string, bool) {
	v, ok := strings.CutPrefix(name, imagePrefix)
	if !ok {
		return "", false
	}
	v, ok = strings.CutSuffix(v, imageSuffix)
	return v, ok && version.MatchString(v)
}

func mustVersion(name string) string {
	v, _ := imageVersion(name)
	return v
}

// compareVersions compares the numbers in two versions, in order.
func compareVersions(a, b string) int {
	return slices.Compare(numbers(a), numbers(b))
}

func numbers(version string) []int {
	var out []int
	for _, field := range strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.Atoi(field)
		if err != nil {
			n = 0 // longer than any version's numbers are
		}
		out = append(out, n)
	}
	return out
}
