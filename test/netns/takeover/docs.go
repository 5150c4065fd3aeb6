// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"bytes"
	"fmt"

	"hafast/test/netns/figures"
)

// sectionName is that of the section of a document that WriteDocs owns.
const sectionName = "takeover"

// WriteDocs replaces the report's section in the Markdown file at path. Picture
// is the path of the picture relative to the file, empty for none.
func (r *Report) WriteDocs(path, picture string) error {
	section, err := r.section(picture)
	if err != nil {
		return err
	}
	return figures.WriteSection(path, sectionName, section)
}

// section is the Markdown text of the report.
func (r *Report) section(picture string) (string, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## Takeover\n\n")
	fmt.Fprintf(&b, "A client opens a fresh HTTP connection to the VIP every millisecond and holds TCP "+
		"connections through haproxy while something happens to the active host, or to the standby where the fault says so. The outage lasts from the start "+
		"of the first attempt that fails (is not answered in full within %d ms) to the start of the first one "+
		"after the last failure. Figures of %d rounds, the systems in turn in one run; ranges are the least and "+
		"the most of a round. \"On the other host\" are, over all rounds, the held connections that survive of those whose "+
		"haproxy runs on a host that nothing happens to: where all connections are on the active host there are none, "+
		"unless the fault is the standby's. The last column counts the hosts that answer ARP for the VIP afterwards: more "+
		"than one is a split brain. A number at the end of a system's name is the number of hosts, where it is not a pair.\n\n", AttemptTimeout.Milliseconds(), r.Rounds)
	if err := NewTable(Rows(r.Results)).WriteMarkdown(&b); err != nil {
		return "", err
	}
	if picture != "" {
		fmt.Fprintf(&b, "\n![Outages by fault and system](%s)\n", picture)
	}
	b.WriteString(figures.Origin(r.Date, r.Machine, r.Command))
	return b.String(), nil
}
