// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"encoding/xml"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hafast/internal/eventually"
	"hafast/pkg/conntrack/record"
)

// flow is an entry as conntrack -L -o xml writes it.
type flow struct {
	Metas []struct {
		Direction string `xml:"direction,attr"`
		Layer3    struct {
			Src string `xml:"src"`
			Dst string `xml:"dst"`
		} `xml:"layer3"`
		Layer4 struct {
			Proto uint8  `xml:"protonum,attr"`
			Src   uint16 `xml:"sport"`
			Dst   uint16 `xml:"dport"`
		} `xml:"layer4"`
		State   string    `xml:"state"`
		Timeout int       `xml:"timeout"`
		Mark    uint32    `xml:"mark"`
		Zone    uint16    `xml:"zone"`
		Assured *struct{} `xml:"assured"`
	} `xml:"meta"`
}

// listing is what the conntrack tool lists.
type listing struct {
	Flows []flow `xml:"flow"`
}

// awaits reports whether an established connection has data that is not acknowledged, for
// which it has 5 minutes; after the ACK it has 5 days again.
func (f *flow) awaits(t *testing.T) bool {
	e, state := f.entry(t)
	return state == "ESTABLISHED" && e.Timeout < time.Hour
}

// entry is what of it can be compared: ICMP has neither identifier nor type there.
func (f *flow) entry(t *testing.T) (e record.Entry, state string) {
	t.Helper()
	for _, m := range f.Metas {
		tuple := record.Tuple{SrcPort: m.Layer4.Src, DstPort: m.Layer4.Dst, Proto: m.Layer4.Proto}
		if m.Direction != "independent" {
			tuple.Src = record.AddressOf(netip.MustParseAddr(m.Layer3.Src))
			tuple.Dst = record.AddressOf(netip.MustParseAddr(m.Layer3.Dst))
		}
		switch m.Direction {
		case "original":
			e.Key.Tuple = tuple
		case "reply":
			e.Reply = tuple
		case "independent":
			e.Key.Zone, e.Mark, state = m.Zone, m.Mark, m.State
			e.Timeout = time.Duration(m.Timeout) * time.Second
			if m.Assured != nil {
				e.Status = statusAssured
			}
		}
	}
	return e, state
}

// TestDumpAgainstConntrack: a dump says what the conntrack tool says.
func TestDumpAgainstConntrack(t *testing.T) {
	l := newLab(t, varietyRules)
	makeVariety(t, l)
	var said listing
	eventually.True(t, "all data is acknowledged", func() bool {
		said = listing{}
		if err := xml.Unmarshal([]byte(l.a.run("conntrack", "-L", "-o", "xml")), &said); err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(said.Flows, func(f flow) bool { return f.awaits(t) })
	})
	ours := map[record.EntryKey]record.Entry{}
	for _, e := range l.a.dump(everything()) {
		if isICMP(e.Key.Tuple.Proto) {
			e.Key.Tuple.SrcPort, e.Key.Tuple.DstPort, e.Reply.SrcPort, e.Reply.DstPort = 0, 0, 0, 0
		}
		ours[e.Key] = e
	}
	states := map[string]uint8{"": 0, "ESTABLISHED": TCPEstablished}
	directional := 0
	for _, f := range said.Flows {
		want, state := f.entry(t)
		got, ok := ours[want.Key]
		if !ok {
			// The tool's own zone for it stands within a direction.
			directional++
			continue
		}
		delete(ours, want.Key)
		if got.Reply != want.Reply || got.Mark != want.Mark || got.Status&statusAssured != want.Status || got.TCP.State != states[state] {
			t.Errorf("dump says\n%+v, conntrack says\n%+v %s", got, want, state)
		}
		if late := want.Timeout - got.Timeout; late < 0 || late > 10*time.Second {
			t.Errorf("%v: timeout %v, conntrack says %v", want.Key, got.Timeout, want.Timeout)
		}
	}
	if len(said.Flows) < 10 || directional != 1 {
		t.Errorf("conntrack lists %d entries, of which the dump lacks %d; want one, whose zone is of one direction", len(said.Flows), directional)
	}
	for key := range ours {
		t.Errorf("conntrack does not know of %v", key)
	}
}

// TestWalkIsPaced: a walk that stands still between its parts tells all that was there
// from its beginning to its end.
func TestWalkIsPaced(t *testing.T) {
	l := newLab(t, routerRules)
	table := l.a.table()
	var entries []record.Entry
	for i := range 2000 {
		entries = append(entries, plainEntry(i))
	}
	apply(t, table, Set, entries, Done)
	var walk *Walk
	l.a.do(func() (err error) {
		walk, err = NewWalk(DefaultFilter())
		return err
	})
	defer walk.Close()
	seen, parts := map[record.EntryKey]bool{}, 0
	for more := true; more; parts++ {
		var err error
		if more, err = walk.Next(func(e *record.Entry) { seen[e.Key] = true }); err != nil {
			t.Fatal(err)
		}
		// Others come and go meanwhile.
		other := plainEntry(10000 + parts)
		apply(t, table, Set, []record.Entry{other}, Done)
		if parts%2 == 0 {
			apply(t, table, Delete, []record.Entry{other}, Done)
		}
	}
	if parts < 10 {
		t.Errorf("%d entries in %d parts, want several", len(entries), parts)
	}
	for _, e := range entries {
		if !seen[e.Key] {
			t.Errorf("not told: %v", e.Key)
		}
	}
}
