// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// row is a frame and what becomes of it in a world that is as rig.World.Reset leaves
// it, but for what given changes.
type row struct {
	name   string
	given  func(*testing.T, *rig.World)
	frame  []byte
	want   rig.Verdict
	reason loader.Reason
	// out makes the expected frame of the one that went in; nil: unchanged.
	out func(in []byte) []byte
	// flows are what the table holds afterwards: given's flows, where nil.
	flows []loader.Flow
	// after checks what else has changed.
	after func(*testing.T, *rig.World)
}

// table is every row, by concern. Names are unique.
func table() []row {
	return slices.Concat(
		strangerRows(), knownFlowRows(), synRows(), secondChanceRows(), udpRows(),
		shapeRows(), lengthRows(), floodedRows(), icmpRows(), hopRows(), neighbourRows(), taggedRows(), jumboRows(),
		reflectorRows(), replyRows(), legRows(),
	)
}

// newWorld skips without root, unless HAFAST_REQUIRE_NETNS=1 makes that a failure.
func newWorld(t testing.TB, opts loader.Options) *rig.World {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("HAFAST_REQUIRE_NETNS") == "1" {
			t.Fatal("HAFAST_REQUIRE_NETNS=1, but this is not root")
		}
		t.Skip("loading XDP programs needs root")
	}
	w, err := rig.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// small is room enough for the flows of a test.
func small() loader.Options { return loader.Options{Flows: 1 << 14} }

func TestProgram(t *testing.T) {
	w := newWorld(t, small())
	runTable(t, w, table())
}

// TestReplacedProgram runs the table on a program, and again on the one that has
// taken over its pinned maps.
func TestReplacedProgram(t *testing.T) {
	opts := small()
	// A BPF filesystem of its own: the machine may have none, and is to have none after.
	mount := t.TempDir()
	check(t, unix.Mount("bpf", mount, "bpf", 0, ""))
	t.Cleanup(func() { check(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	opts.PinDir = filepath.Join(mount, "hafast")
	w := newWorld(t, opts)
	t.Run("first", func(t *testing.T) { runTable(t, w, table()) })

	// What the second finds, it has inherited.
	f := rig.IPv4()
	check(t, w.Reset())
	check(t, w.PutFlows([]loader.Flow{tcpFlow(f, rig.PortPeer, rig.Far)}))
	before := program(t, w)
	check(t, w.Replace(opts))
	if after := program(t, w); after == before {
		t.Fatalf("still program %d", after)
	}
	t.Run("inherited", func(t *testing.T) {
		run(t, w, row{
			frame: f.ToVIP(rig.PortPeer).TCP(frames.ACK), want: rig.Redirect, reason: loader.TXFlow,
			out: toFar, flows: []loader.Flow{tcpFlow(f, rig.PortPeer, rig.Far)},
		})
	})
	t.Run("successor", func(t *testing.T) {
		runTable(t, w, table())
		lives(t, w)
		credits(t, w)
	})
}

func program(t *testing.T, w *rig.World) uint32 {
	t.Helper()
	info, err := w.Program().Info()
	check(t, err)
	id, ok := info.ID()
	if !ok {
		t.Fatal("the program has no number")
	}
	return uint32(id)
}

func runTable(t *testing.T, w *rig.World, rows []row) {
	seen := make(map[string]bool)
	for _, r := range rows {
		if seen[r.name] {
			t.Errorf("two rows are named %q", r.name)
		}
		seen[r.name] = true
		t.Run(r.name, func(t *testing.T) {
			check(t, w.Reset())
			run(t, w, r)
		})
	}
}

// run runs a row in the world as it is.
func run(t *testing.T, w *rig.World, r row) {
	t.Helper()
	if r.given != nil {
		r.given(t, w)
	}
	there, want := flowsOf(t, w), r.flows
	if want == nil {
		want = there
	}
	credit := trafficOf(t, w)
	before, err := w.Counters()
	check(t, err)
	verdict, out, err := w.Run(r.frame)
	check(t, err)
	after, err := w.Counters()
	check(t, err)

	moved := rig.Moved(before, after)
	if verdict != r.want || !maps.Equal(moved, map[loader.Reason]uint64{r.reason: 1}) {
		t.Errorf("%v for %v, want %v for %v\nframe % x", verdict, moved, r.want, r.reason, r.frame)
	}
	expected := r.frame
	if r.out != nil {
		expected = r.out(slices.Clone(r.frame))
	}
	if !bytes.Equal(out, expected) {
		t.Errorf("frame out is not as expected\n in  % x\n out % x\nwant % x", r.frame, out, expected)
	}
	if verdict == rig.TX || verdict == rig.Redirect {
		if err := frames.Verify(r.frame); err != nil {
			t.Errorf("the row itself: %v", err)
		} else if err := frames.Verify(out); err != nil {
			t.Errorf("frame out: %v", err)
		}
	}
	flows := flowsOf(t, w)
	if !slices.Equal(flows, sorted(want)) {
		t.Errorf("flows afterwards\n got %v\nwant %v", flows, sorted(want))
	}
	if news, want := newsOf(t, w), news(there, flows); !slices.Equal(news, want) {
		t.Errorf("told of\n%v, want\n%v", news, want)
	}
	judgeCredit(t, grown(credit, trafficOf(t, w)), r.reason, out)
	if r.after != nil {
		r.after(t, w)
	}
}

// flowsOf lists the flow table, in order, without times.
func flowsOf(t *testing.T, w *rig.World) []loader.Flow {
	t.Helper()
	list := []loader.Flow{}
	for f, err := range w.Flows() {
		check(t, err)
		f.Idle = 0
		list = append(list, f)
	}
	return sorted(list)
}

func sorted(flows []loader.Flow) []loader.Flow {
	return slices.SortedFunc(slices.Values(flows), func(a, b loader.Flow) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
