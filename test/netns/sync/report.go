// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"hafast/test/netns/figures"
)

// Report is a whole measurement, as it is kept in JSON.
type Report struct {
	Date    time.Time       `json:"date"`
	Command string          `json:"command"`
	Rounds  int             `json:"rounds"`
	WindowS float64         `json:"window_s"`
	Machine figures.Machine `json:"machine"`
	Rates   []Rate          `json:"rates"`
	Turns   []Turns         `json:"turns"`
	Lags    []Lag           `json:"lags"`
	Resyncs []Resync        `json:"resyncs"`
	Moves   []Moves         `json:"moves"`
	// Errors are the cases that could not be measured.
	Errors []string `json:"errors,omitempty"`
}

func (r *Report) parts() []figures.Part {
	return []figures.Part{
		{Title: "Connections", Text: fmt.Sprintf("The rate is that of a client that opens, uses and closes connections as quickly as "+
			"they are answered. What one costs is measured at %d a second, the same for all systems: *sender* and *receiver* "+
			"are the daemons' processor time on the Active router and on the other, *machine* is the busy time of the "+
			"whole machine beyond that of the same system without replication, so it has the kernel's work on events and datagrams too. What an idle pair "+
			"uses is not in these; it is the daemons' shares of a core under *idle*. Bytes are those on the sync link. Medians of %d rounds of %.0f s.", defaultPace, r.Rounds, r.WindowS), Table: r.rateTable()},
		{Title: "Connections, in turns", Text: fmt.Sprintf("The rates above scatter by a half from one window to the next, with all systems, on processors "+
			"that are not the machine's own. So a pair with a system and one with the system that it adds to are up at the same time, and are put under load "+
			"in turns of %.0f s: what one makes is compared with what the other has made just before and after. On *hafast-unread*'s routers somebody subscribes "+
			"to the kernel's events and reads none of them: that the kernel writes them is the least that telling by events costs. All rounds together.",
			turn.Seconds()), Table: r.turnsTable()},
		{Title: "Lag", Text: "The time from a connection's establishment, as its client sees it, until the other router knows it as " +
			"established: in the kernel's table, or in conntrackd's external cache. How long it takes to look once is how " +
			"precise a figure is. All rounds together.", Table: r.lagTable()},
		{Title: "Coming back", Text: "A router has a table of made-up connections; another is started beside it. *Ready* is when it knows all, " +
			"or learns no more. Memory is the daemons' then. Then the first one dies, and 100 held connections wait until the " +
			"other one has their state in the kernel. Medians of all rounds; the largest table is in one round only.", Table: r.resyncTable()},
		{Title: "Changing over", Text: fmt.Sprintf("Held connections under %d new connections a second. *Alive* is, after each change, how many of "+
			"them still work, the median and the least; systems that lose some change over less often, because each lost "+
			"connection is waited for. *Silent* is the longest that a byte takes there and back on "+
			"the median of %d connections that send every %d ms, the median and the most of all changes; *longest* is the "+
			"same for all connections, where a lost byte comes back after 200 ms at the soonest. A lossy sync link loses a "+
			"tenth of all frames, and a tenth come up to 5 ms late.", defaultPace, quickConnections, quickInterval.Milliseconds()), Table: r.movesTable()},
	}
}

// WriteText writes the tables for a terminal.
func (r *Report) WriteText(w io.Writer) error { return figures.WriteParts(w, r.parts()) }

// WriteDocs replaces the report's section in the Markdown file at path.
func (r *Report) WriteDocs(path string) error {
	section, err := r.section()
	if err != nil {
		return err
	}
	return figures.WriteSection(path, "sync", section)
}

func (r *Report) section() (string, error) {
	var b bytes.Buffer
	b.WriteString("## State sync on a pair of routers\n\n" +
		"Two routers translate the source addresses of a client's connections and drop what they do not know " +
		"(`nf_conntrack_tcp_loose` is 0). *none* is keepalived alone, *conntrackd* runs beside keepalived, which calls the " +
		"usual script at each change, *hafast-unsynced* is hafast without state sync; *direct* has it put what it hears into the kernel's table at once. Adverts " +
		"come every 10 ms with all systems. The systems in turn in one run.\n")
	if err := figures.WriteMarkdownParts(&b, r.parts()); err != nil {
		return "", err
	}
	b.WriteString(figures.Origin(r.Date, r.Machine, r.Command))
	return b.String(), nil
}
