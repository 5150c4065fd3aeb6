// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/internal/nlmsg"
	"hafast/pkg/conntrack/record"
)

// readAll reads until nothing waits.
func readAll(t testing.TB, events *Events) (news []Event) {
	t.Helper()
	for {
		n, err := events.Read(func(e *Event) { news = append(news, *e) })
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return news
		}
	}
}

// await reads until there is news that will do, and returns all of it.
func await(t testing.TB, what string, events *Events, enough func(*Event) bool) (news []Event) {
	t.Helper()
	eventually.True(t, what, func() bool {
		fresh := readAll(t, events)
		news = append(news, fresh...)
		return slices.ContainsFunc(fresh, func(e Event) bool { return enough(&e) })
	})
	return news
}

func goneKey(key record.EntryKey) func(*Event) bool {
	return func(e *Event) bool { return e.Gone && e.Entry.Key == key }
}

// everyEvent is a socket that gets all events of the namespace.
func (h *host) everyEvent() (fd int) {
	h.t.Helper()
	h.do(func() (err error) {
		if fd, err = openSocket(1 << 20); err == nil {
			_, err = bind(fd, groupNew|groupUpdate|groupDestroy)
		}
		return err
	})
	h.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func reports(t testing.TB, fd int) (list []Report) {
	t.Helper()
	reader := newReader()
	for {
		n, err := reader.read(fd)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return list
		}
		for slot := range n {
			datagram, _ := reader.datagram(slot)
			for m := range nlmsg.Messages(datagram) {
				var r Report
				if Decode(m, &r) == nil {
					list = append(list, r)
				}
			}
		}
	}
}

// TestShortConnection: of the seven events of a TCP connection two are read.
func TestShortConnection(t *testing.T) {
	l := newLab(t, routerRules)
	table := l.a.table()
	events := l.a.subscribe(table, Options{Filter: DefaultFilter(), Buffer: 1 << 20})
	all := l.a.everyEvent()
	l.server.listen(serverAddr+":80", echo)
	c := l.client.dial("tcp", serverAddr+":80")
	if err := converse(c, 1, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	entry := l.a.dump(DefaultFilter())[0]
	c.Close()

	news := await(t, "the connection is reported as gone", events, goneKey(entry.Key))
	if len(news) != 2 || news[0].Gone || news[0].Entry.TCP.State != TCPEstablished {
		t.Errorf("news of a short connection: %+v, want it ESTABLISHED and then gone", news)
	}
	if got := news[0].Entry; got.Key != entry.Key || got.Reply != entry.Reply || got.TCP != entry.TCP || got.Timeout < entry.Timeout {
		t.Errorf("told\n%+v, in the table is\n%+v", got, entry)
	}
	// The end of what is in TIME_WAIT is no news.
	l.a.run("conntrack", "-F")
	var states []uint8
	eventually.True(t, "the entry is destroyed", func() bool {
		for _, r := range reports(t, all) {
			states = append(states, r.Entry.TCP.State)
			if r.Kind == Destroyed {
				return true
			}
		}
		return false
	})
	if states[len(states)-1] == 0 {
		t.Skip("the end of an entry in TIME_WAIT cannot be told from others without its state: needs Linux 5.12")
	}
	if want := []uint8{TCPSynSent, TCPSynRecv, TCPEstablished, TCPFinWait, TCPLastAck, TCPTimeWait, TCPTimeWait}; !slices.Equal(states, want) {
		t.Errorf("events with states %v, want %v", states, want)
	}
	if more := readAll(t, events); len(more) != 0 {
		t.Errorf("news after the end: %+v", more)
	}
	if got, want := events.Figures(), (Figures{Told: 1, Gone: 1}); got != want {
		t.Errorf("figures %+v, want %+v: the socket filter has the rest", got, want)
	}
}

// TestEntryKilled: an entry that ends without having been closed is reported as gone.
func TestEntryKilled(t *testing.T) {
	l := newLab(t, routerRules)
	events := l.a.subscribe(l.a.table(), Options{Filter: DefaultFilter(), Buffer: 1 << 20})
	l.server.listen(serverAddr+":80", echo)
	l.client.dial("tcp", serverAddr+":80")
	news := await(t, "the connection is told", events, func(e *Event) bool { return !e.Gone })
	l.a.run("conntrack", "-D", "-p", "tcp")
	await(t, "the entry is gone", events, goneKey(news[0].Entry.Key))
}

// TestEntriesFromBefore: with nf_conntrack_events=1 entries that were made before
// anybody listened are reported when they end.
func TestEntriesFromBefore(t *testing.T) {
	l := newLab(t, routerRules)
	l.a.sysctl("net.netfilter.nf_conntrack_events", "1")
	l.server.listen(serverAddr+":80", echo)
	c := l.client.dial("tcp", serverAddr+":80")
	if err := converse(c, 1, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	entry := l.a.dump(DefaultFilter())[0]
	events := l.a.subscribe(l.a.table(), Options{Filter: DefaultFilter(), Buffer: 1 << 20})
	c.Close()
	await(t, "the connection is reported as gone", events, goneKey(entry.Key))
}

// TestMarkOfOldConnection: an event without the state has the entry asked for.
func TestMarkOfOldConnection(t *testing.T) {
	l := newLab(t, routerRules)
	events := l.a.subscribe(l.a.table(), Options{Filter: DefaultFilter(), Buffer: 1 << 20})
	l.server.listen(serverAddr+":80", echo)
	l.client.dial("tcp", serverAddr+":80")
	await(t, "the connection is told", events, func(e *Event) bool { return !e.Gone })
	// conntrack -U would send the whole entry; a rule sets the mark alone.
	l.a.pipe("insert rule inet router forward ct mark set 9", "nft", "-f", "-")
	c := l.client.dial("tcp", serverAddr+":80")
	l.a.pipe("insert rule inet router forward ct mark set 10", "nft", "-f", "-")
	l.a.pipe("delete rule inet router forward handle "+l.a.handleOf("0x00000009"), "nft", "-f", "-")
	if err := converse(c, 1, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	news := await(t, "the new mark is told", events, func(e *Event) bool { return e.Entry.Mark == 10 })
	got := news[len(news)-1].Entry
	if want, _ := l.a.lookUp(l.a.table(), got.Key); got.TCP.State != TCPEstablished || got.Reply != want.Reply {
		t.Errorf("told\n%+v, in the table is\n%+v", got, want)
	}
	if events.Figures().Incomplete == 0 {
		t.Error("no event was incomplete")
	}
}

// handleOf finds the forward chain's rule that contains a text.
func (h *host) handleOf(text string) string {
	h.t.Helper()
	for line := range strings.Lines(h.run("nft", "-a", "list", "chain", "inet", "router", "forward")) {
		if rule, handle, ok := strings.Cut(strings.TrimSpace(line), " # handle "); ok && strings.Contains(rule, text) {
			return handle
		}
	}
	h.t.Fatalf("no rule with %s", text)
	return ""
}

// TestEventsTellWhatIsThere: what was told of connections of all kinds is what the
// table has, labels and masters too.
func TestEventsTellWhatIsThere(t *testing.T) {
	l := newLab(t, varietyRules)
	events := l.a.subscribe(l.a.table(), Options{Filter: everything(), Buffer: 1 << 22, Labels: true})
	v := makeVariety(t, l)
	toldOf := map[record.EntryKey]record.Entry{}
	for _, e := range readAll(t, events) {
		if e.Gone {
			t.Errorf("gone: %v", e.Entry.Key)
		}
		toldOf[e.Entry.Key] = e.Entry
	}
	want := byKey(l.a.dump(everything()))
	if all := len(v.tcp) + len(v.udp) - 1 + 2; len(want) != all {
		t.Errorf("%d entries in the table, want %d", len(want), all)
	}
	for key, e := range want {
		got := toldOf[key]
		delete(toldOf, key)
		// The clock goes on; TCP notes what is not acknowledged yet.
		got.Timeout, got.TCP.FlagsOriginal, got.TCP.FlagsReply = e.Timeout, e.TCP.FlagsOriginal, e.TCP.FlagsReply
		if got != e {
			t.Errorf("told\n%+v, in the table is\n%+v", got, e)
		}
	}
	for key := range toldOf {
		t.Errorf("told, but not in the table: %v", key)
	}
	if got := events.Figures(); got.Unsupported == 0 || got.Malformed != 0 {
		t.Errorf("figures %+v, want the entry with a zone of one direction as unsupported, and nothing malformed", got)
	}
}

// TestUDPWhenAssured: UDP is told once it has gone on for two seconds.
func TestUDPWhenAssured(t *testing.T) {
	l := newLab(t, routerRules)
	events := l.a.subscribe(l.a.table(), Options{Filter: DefaultFilter(), Buffer: 1 << 20})
	l.server.echoUDP(serverAddr + ":53")
	short, long := l.client.dial("udp", serverAddr+":53"), l.client.dial("udp", serverAddr+":53")
	if err := query(short); err != nil {
		t.Fatal(err)
	}
	var news []Event
	eventually.True(t, "UDP that goes on is told", func() bool {
		if err := query(long); err != nil {
			t.Fatal(err)
		}
		news = append(news, readAll(t, events)...)
		return len(news) > 0
	})
	want := uint16(long.LocalAddr().(*net.UDPAddr).Port)
	if got := news[0].Entry; len(news) != 1 || got.Key.Tuple.SrcPort != want || got.Status&statusAssured == 0 {
		t.Errorf("news %+v, want one of the flow from port %d", news, want)
	}
}

// TestEchoes: what the Table does is no news, what others do is.
func TestEchoes(t *testing.T) {
	l := newLab(t, routerRules)
	table, other := l.a.table(), l.a.table()
	filter := everything()
	events := l.a.subscribe(table, Options{Filter: filter, Buffer: 1 << 20})
	all := l.a.everyEvent()
	ours, theirs := plainEntry(1), plainEntry(2)
	changed := ours
	changed.Mark = 7
	apply(t, table, Set, []record.Entry{ours}, Done)
	apply(t, table, Set, []record.Entry{changed}, Updated)
	apply(t, table, Delete, []record.Entry{ours}, Done)
	apply(t, other, Set, []record.Entry{theirs}, Done)
	if got := reports(t, all); len(got) != 4 {
		t.Errorf("%d events, want 4: created, changed, destroyed, created", len(got))
	}
	news := readAll(t, events)
	if len(news) != 1 || news[0].Entry.Key != theirs.Key {
		t.Errorf("news %+v, want one of %v", news, theirs.Key)
	}
}

// TestOverrun: events that find no room are reported as lost, once, and then events
// are told again.
func TestOverrun(t *testing.T) {
	l := newLab(t, routerRules)
	table, other := l.a.table(), l.a.table()
	events := l.a.subscribe(table, Options{Filter: everything(), Buffer: 1 << 13})
	var flood []record.Entry
	for i := range 500 {
		flood = append(flood, plainEntry(i))
	}
	apply(t, other, Set, flood, Done)
	if _, err := events.Read(func(*Event) {}); !errors.Is(err, ErrOverrun) {
		t.Fatalf("after 500 events for a small buffer: %v, want %v", err, ErrOverrun)
	}
	if n, err := events.Read(func(*Event) {}); n != 0 || err != nil {
		t.Fatalf("after the overrun: %d events and %v, want none: the table has to be walked over", n, err)
	}
	if got := len(l.a.dump(everything())); got != len(flood) {
		t.Errorf("%d entries, want %d", got, len(flood))
	}
	apply(t, other, Delete, flood[:1], Done)
	await(t, "what comes later is told", events, goneKey(flood[0].Key))
	if got := events.Figures().Overruns; got != 1 {
		t.Errorf("%d overruns, want 1", got)
	}
}
