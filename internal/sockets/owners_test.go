// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fakeProc is a /proc of files.
type fakeProc struct {
	t   *testing.T
	dir string
}

func newFakeProc(t *testing.T) fakeProc {
	dir := t.TempDir()
	for _, name := range []string{"sys", "self"} { // what is no process
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return fakeProc{t, dir}
}

// run puts a process there, with sockets among its descriptors.
func (p fakeProc) run(pid, parent int, start uint64, inodes ...uint64) {
	p.t.Helper()
	p.end(pid)
	fds := filepath.Join(p.dir, fmt.Sprint(pid), "fd")
	if err := os.MkdirAll(fds, 0o755); err != nil {
		p.t.Fatal(err)
	}
	text := fmt.Sprintf("%d (a) b) S %d 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", pid, parent, start)
	if err := os.WriteFile(filepath.Join(p.dir, fmt.Sprint(pid), "stat"), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	targets := []string{"/dev/null", "anon_inode:[eventpoll]", "socket:[x]", "pipe:[1]"}
	for _, inode := range inodes {
		targets = append(targets, fmt.Sprintf("socket:[%d]", inode))
	}
	for i, target := range targets {
		if err := os.Symlink(target, filepath.Join(fds, fmt.Sprint(i))); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p fakeProc) end(pid int) {
	p.t.Helper()
	if err := os.RemoveAll(filepath.Join(p.dir, fmt.Sprint(pid))); err != nil {
		p.t.Fatal(err)
	}
}

func TestDescendants(t *testing.T) {
	p := newFakeProc(t)
	p.run(1, 0, 1)
	p.run(10, 1, 5)
	p.run(11, 10, 6)
	p.run(9, 11, 7) // pids have gone round
	p.run(12, 1, 6)
	p.run(13, 12, 6)
	for _, test := range []struct {
		roots map[int]uint64
		want  []int
	}{
		{map[int]uint64{10: 5}, []int{9, 10, 11}},
		{map[int]uint64{10: 5, 11: 6}, []int{9, 10, 11}},
		{map[int]uint64{10: 5, 13: 6}, []int{9, 10, 11, 13}},
		{map[int]uint64{10: 4}, nil}, // another process had that pid
		{map[int]uint64{1: 1}, []int{1, 9, 10, 11, 12, 13}},
		{nil, nil},
	} {
		got, err := procfs(p.dir).descendants(test.roots)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("descendants of %v: %v, %v; want %v", test.roots, got, err, test.want)
		}
	}
}

func TestOwners(t *testing.T) {
	p := newFakeProc(t)
	o := newOwners(p.dir)
	now := time.Unix(1000, 0)
	// own is what of the sockets 1 to 4 belongs to the processes.
	own := func(pids ...int) []uint32 {
		t.Helper()
		var all []record
		for inode := range uint32(4) {
			all = append(all, record{inode: inode + 1, cookie: 100 + uint64(inode)})
		}
		filter, err := o.of(pids, now, all[:2], all[2:])
		if err != nil {
			t.Fatal(err)
		}
		var inodes []uint32
		for _, r := range filter(all) {
			inodes = append(inodes, r.inode)
		}
		return inodes
	}
	want := func(when string, got []uint32, inodes ...uint32) {
		t.Helper()
		if !slices.Equal(got, inodes) {
			t.Errorf("%s: %v, want %v", when, got, inodes)
		}
	}
	p.run(10, 1, 5, 1)
	p.run(11, 10, 6, 2, 3)
	p.run(20, 1, 5, 4)
	want("with its child", own(10), 1, 2, 3)
	want("the child alone", own(11), 2, 3)
	want("both", own(10, 20), 1, 2, 3, 4)
	want("back", own(10), 1, 2, 3)

	p.run(11, 10, 6, 2)
	want("closed a moment ago, and open elsewhere", own(10), 1, 2, 3)
	now = now.Add(trust + 1)
	want("closed for a while", own(10), 1, 2)

	p.run(10, 1, 7)
	want("another process has the pid now", own(10), 2)
	p.end(10)
	want("nobody has the pid", own(10))
	p.run(10, 1, 8, 4)
	p.end(11)
	want("somebody again", own(10), 4)
}

// A master that reloads: its new worker is forked after the processes were listed,
// and its own descriptor closed before it was looked at.
func TestOwnersAsksAgainForANewSocket(t *testing.T) {
	p := newFakeProc(t)
	o := newOwners(p.dir)
	now := time.Unix(1000, 0)
	asked := func() (own, looked bool) {
		t.Helper()
		r := record{inode: 1, cookie: 1}
		filter, err := o.of([]int{10}, now, []record{r})
		if err != nil {
			t.Fatal(err)
		}
		return len(filter([]record{r})) == 1, o.known[1].at.Equal(now)
	}
	p.run(10, 1, 5)
	if own, looked := asked(); own || !looked {
		t.Errorf("nobody's socket: own %t, looked %t", own, looked)
	}
	now = now.Add(time.Second)
	p.run(11, 10, 6, 1)
	if own, looked := asked(); !own || !looked {
		t.Errorf("the worker's socket: own %t, looked %t", own, looked)
	}
	now = now.Add(time.Second)
	if own, looked := asked(); !own || looked {
		t.Errorf("once found: own %t, looked %t", own, looked)
	}
	// Somebody else's is looked for only so long.
	p.end(11)
	now = now.Add(trust)
	for i := range 10 {
		own, looked := asked()
		if own || looked != (i == 0) {
			t.Errorf("look %d after its owner went: own %t, looked %t", i, own, looked)
		}
		now = now.Add(time.Second)
	}
}

func TestOwnersLooksForWhatIsNew(t *testing.T) {
	p := newFakeProc(t)
	o := newOwners(p.dir)
	now := time.Unix(1000, 0)
	owned := func(r record) bool {
		t.Helper()
		filter, err := o.of([]int{10}, now, []record{r})
		if err != nil {
			t.Fatal(err)
		}
		return len(filter([]record{r})) == 1
	}
	p.run(10, 1, 5, 1)
	if !owned(record{inode: 1, cookie: 1}) {
		t.Error("the first socket is not found")
	}
	p.run(10, 1, 5, 1, 2)
	if !owned(record{inode: 2, cookie: 2}) {
		t.Error("a later socket is not found")
	}
	// Inodes come round again; cookies do not.
	p.run(10, 1, 5, 2)
	if owned(record{inode: 1, cookie: 3}) {
		t.Error("another socket with the inode of an earlier one counts")
	}
	if owned(record{inode: 0, cookie: 4}) {
		t.Error("a socket that no process has counts")
	}
}

func TestOwnersWithoutAccess(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root reads everything; the error is made of its cause.
		err := procfs("/proc").sockets([]int{os.Getpid()}, func(uint64) bool { return true })
		if err != nil {
			t.Errorf("this process: %v", err)
		}
	}
	p := newFakeProc(t)
	p.run(10, 1, 5, 1)
	fds := filepath.Join(p.dir, "10", "fd")
	if err := os.Chmod(fds, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(fds, 0o755)
	if _, err := os.ReadDir(fds); !errors.Is(err, fs.ErrPermission) {
		t.Skip("this user reads everything")
	}
	if _, err := newOwners(p.dir).of([]int{10}, time.Unix(0, 0), []record{{inode: 1, cookie: 1}}); !errors.Is(err, ErrNoAccess) {
		t.Errorf("error %v, want ErrNoAccess", err)
	}
}

// The descendants are those from which the parents lead to a root.
func TestDescendantsProperty(t *testing.T) {
	p := newFakeProc(t)
	rapid.Check(t, func(rt *rapid.T) {
		parents := make(map[int]int)
		for pid := range 8 {
			parents[pid+1] = rapid.IntRange(0, pid).Draw(rt, "parent")
			p.run(pid+1, parents[pid+1], 1)
		}
		roots := make(map[int]uint64)
		for pid := range parents {
			if rapid.Bool().Draw(rt, "root") {
				roots[pid] = 1
			}
		}
		got, err := procfs(p.dir).descendants(roots)
		if err != nil {
			rt.Fatal(err)
		}
		slices.Sort(got)
		var want []int
		for _, pid := range slices.Sorted(maps.Keys(parents)) {
			for at := pid; at != 0; at = parents[at] {
				if roots[at] == 1 {
					want = append(want, pid)
					break
				}
			}
		}
		if !slices.Equal(got, want) {
			rt.Errorf("parents %v, roots %v: %v, want %v", parents, roots, got, want)
		}
	})
}
