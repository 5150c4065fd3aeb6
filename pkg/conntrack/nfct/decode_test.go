// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"hafast/internal/nlmsg"
	"hafast/pkg/conntrack/record"
)

// recorded are messages of Linux 6.18, in three lines each: what it is, the message,
// and what it says.
func recorded(t testing.TB) (names []string, messages [][]byte, says []string) {
	t.Helper()
	f, err := os.Open("testdata/messages.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for i := 0; lines.Scan(); i++ {
		switch line := strings.TrimSpace(lines.Text()); i % 3 {
		case 0:
			names = append(names, line)
		case 1:
			b, err := hex.DecodeString(line)
			if err != nil {
				t.Fatalf("%s: %v", names[len(names)-1], err)
			}
			messages = append(messages, b)
		case 2:
			says = append(says, line)
		}
	}
	if len(names) == 0 || len(names) != len(says) {
		t.Fatalf("%d names, %d readings", len(names), len(says))
	}
	return names, messages, says
}

// render writes a report the way testdata has it.
func render(r *Report) string {
	var b strings.Builder
	tuple := func(name string, t *record.Tuple) {
		fmt.Fprintf(&b, " %s=%d,%v:%d>%v:%d", name, t.Proto, t.Src, t.SrcPort, t.Dst, t.DstPort)
	}
	e := &r.Entry
	b.WriteString([]string{"created", "changed", "destroyed"}[r.Kind])
	tuple("key", &e.Key.Tuple)
	if e.Key.Zone != 0 {
		fmt.Fprintf(&b, " zone=%d", e.Key.Zone)
	}
	field := func(f Fields, format string, args ...any) {
		if r.Fields&f != 0 {
			fmt.Fprintf(&b, format, args...)
		}
	}
	if r.Fields&HasReply != 0 {
		tuple("reply", &e.Reply)
	}
	field(HasStatus, " status=%#x", e.Status)
	field(HasTimeout, " timeout=%v", e.Timeout)
	field(HasMark, " mark=%d", e.Mark)
	field(HasLabels, " labels=%x", e.Labels)
	field(HasTCP, " tcp=%d,%d/%d,%#x/%#x", e.TCP.State, e.TCP.ScaleOriginal, e.TCP.ScaleReply, e.TCP.FlagsOriginal, e.TCP.FlagsReply)
	if r.Fields&HasMaster != 0 {
		tuple("master", &e.Master.Tuple)
	}
	return b.String()
}

func TestDecodeRecorded(t *testing.T) {
	names, messages, says := recorded(t)
	for i, name := range names {
		var r Report
		var got string
		if err := Decode(first(t, messages[i]), &r); err != nil {
			got = err.Error()
		} else {
			got = render(&r)
		}
		if got != says[i] {
			t.Errorf("%s:\n got %s\nwant %s", name, got, says[i])
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	_, messages, _ := recorded(t)
	whole := messages[0]
	tests := []struct {
		name string
		m    nlmsg.Message
	}{
		{"no data", nlmsg.Message{Type: typeNew}},
		{"no attributes", nlmsg.Message{Type: typeNew, Data: make([]byte, sizeofGenMsg)}},
		{"another type", nlmsg.Message{Type: typeGetStats, Data: first(t, whole).Data}},
		{"original direction cut", nlmsg.Message{Type: typeNew, Data: first(t, whole).Data[:24]}},
	}
	for _, test := range tests {
		var r Report
		if err := Decode(test.m, &r); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want %v", test.name, err, ErrMalformed)
		}
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	_, messages, _ := recorded(t)
	var r Report
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range messages {
			for m := range nlmsg.Messages(b) {
				_ = Decode(m, &r)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d messages", n, len(messages))
	}
}

// FuzzDecode: whatever comes, nothing breaks; what is understood can be written and is
// understood again.
func FuzzDecode(f *testing.F) {
	_, messages, _ := recorded(f)
	for _, b := range messages {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for m := range nlmsg.Messages(b) {
			var r Report
			if Decode(m, &r) != nil {
				continue
			}
			filter := DefaultFilter()
			_ = filter.judge(&r, true)
			var out nlmsg.Builder
			appendKey(&out, typeDelete, 1, &r.Entry.Key)
			var again Report
			if err := Decode(first(t, out.Bytes()), &again); err != nil {
				// Addresses of two families are no entry of any kernel.
				if r.Entry.Key.Tuple.Src.Is4() == r.Entry.Key.Tuple.Dst.Is4() {
					t.Fatalf("%v: written and read: %v", r.Entry.Key, err)
				}
				continue
			}
			if r.Entry.Key.Tuple.Src.Is4() == r.Entry.Key.Tuple.Dst.Is4() && again.Entry.Key != r.Entry.Key {
				t.Fatalf("%v became %v", r.Entry.Key, again.Entry.Key)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	names, messages, _ := recorded(b)
	for i, name := range names {
		m := first(b, messages[i])
		var r Report
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			for b.Loop() {
				if err := Decode(m, &r); err != nil {
					b.Skip(err)
				}
			}
		})
	}
}
