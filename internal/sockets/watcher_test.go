// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// fakeLister answers with what the test has put there.
type fakeLister struct {
	mu   sync.Mutex
	list []Service
	err  error
}

func (f *fakeLister) Listening(pids []int, _ []netip.Addr) ([]Service, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(pids) != 1 || pids[0] != 7 {
		return nil, errors.New("other pids than given")
	}
	return f.list, f.err
}

// watching runs a Watcher with a period of a second, in a bubble of time.
type watching struct {
	*Watcher
	lister *fakeLister
	log    bytes.Buffer

	mu      sync.Mutex
	pids    []int
	vips    []netip.Addr
	reports [][]Service
}

// set changes what is to be seen.
func (w *watching) set(list []Service, err error) {
	w.lister.mu.Lock()
	defer w.lister.mu.Unlock()
	w.lister.list, w.lister.err = list, err
}

func (w *watching) processes() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pids
}

func (w *watching) addresses() []netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.vips
}

func (w *watching) report(l []Service) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, l)
}

func watch(t *testing.T, f func(w *watching)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &watching{lister: &fakeLister{list: list("tcp", "10.0.0.9:80")}, pids: []int{7}, vips: vips()}
		w.Watcher = newWatcher(w.lister, slog.New(slog.NewTextHandler(&w.log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.Run(ctx, 0, w.processes, w.addresses, w.report)
		}()
		synctest.Wait()
		f(w)
		cancel()
		<-done
	})
}

// after lets time go by and demands what has been reported meanwhile.
func (w *watching) after(t *testing.T, d time.Duration, want ...[]Service) {
	t.Helper()
	time.Sleep(d)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.EqualFunc(w.reports, want, slices.Equal) {
		t.Errorf("reports %v, want %v", w.reports, want)
	}
	w.reports = nil
}

func TestWatcherReportsChangesOnly(t *testing.T) {
	one, two := list("tcp", "10.0.0.9:80"), list("tcp", "10.0.0.9:80", "tcp", "10.0.0.9:443")
	watch(t, func(w *watching) {
		w.after(t, 0, one)
		w.after(t, 5*time.Second)
		w.set(two, nil)
		w.after(t, time.Second, two)
		w.after(t, 5*time.Second)
	})
}

func TestWatcherReportsNothingAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports [][]Service
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		newWatcher(&fakeLister{}, slog.New(slog.DiscardHandler)).Run(ctx, time.Second,
			func() []int { return []int{7} }, vips, func(l []Service) { reports = append(reports, l) })
		if len(reports) != 1 || len(reports[0]) != 0 {
			t.Errorf("reports %v, want an empty one", reports)
		}
	})
}

func TestWatcherKick(t *testing.T) {
	two := list("tcp", "10.0.0.9:80", "tcp", "10.0.0.9:443")
	watch(t, func(w *watching) {
		w.after(t, 0, list("tcp", "10.0.0.9:80"))
		w.set(two, nil)
		for range 10 {
			w.Kick() // must not block
		}
		w.after(t, time.Millisecond, two)
	})
}

func TestWatcherWaitsWithLosses(t *testing.T) {
	one, two := list("tcp", "10.0.0.9:80"), list("tcp", "10.0.0.9:80", "tcp", "10.0.0.9:443")
	watch(t, func(w *watching) {
		w.after(t, 0, one)
		w.set(two, nil)
		w.after(t, 1500*time.Millisecond, two) // half way between two looks

		// A reload: a moment without listeners, seen by a kick or two.
		w.set(nil, nil)
		w.Kick()
		w.after(t, 10*time.Millisecond)
		w.Kick()
		w.after(t, 10*time.Millisecond)
		w.set(two, nil)
		w.after(t, 3*time.Second)

		// One that is really gone.
		w.set(one, nil)
		w.after(t, time.Second)
		w.after(t, time.Second, one)

		// All are.
		w.set(nil, nil)
		w.after(t, time.Second)
		w.after(t, time.Second, nil)
	})
}

func TestWatcherKeepsItsPidsWithoutOthers(t *testing.T) {
	watch(t, func(w *watching) {
		w.after(t, 0, list("tcp", "10.0.0.9:80"))
		w.mu.Lock()
		w.pids = nil
		w.mu.Unlock()
		w.after(t, 5*time.Second)
		if w.log.Len() > 0 {
			t.Error(w.log.String())
		}
	})
}

func TestWatcherDropsAVIPAtOnce(t *testing.T) {
	watch(t, func(w *watching) {
		w.after(t, 0, list("tcp", "10.0.0.9:80"))
		w.set(nil, nil)
		w.mu.Lock()
		w.vips = w.vips[:1]
		w.mu.Unlock()
		w.Kick()
		w.after(t, time.Millisecond, nil)
	})
}

func TestWatcherKeepsItsListOverErrors(t *testing.T) {
	one := list("tcp", "10.0.0.9:80")
	watch(t, func(w *watching) {
		w.after(t, 0, one)
		w.set(nil, ErrNoAccess)
		w.after(t, 10*time.Second)
		if n := strings.Count(w.log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings, want one:\n%s", n, &w.log)
		}
		w.set(one, nil)
		w.after(t, 2*time.Second)
	})
}

// What is seen is always in the list; what is not has been seen less than two
// looks and less than grace ago; and the list is told when it changes, and only then.
func TestSteadyProperty(t *testing.T) {
	const grace = 500 * time.Millisecond
	universe := list("tcp", "10.0.0.8:80", "tcp", "10.0.0.9:80", "tcp", "10.0.0.9:443", "udp", "10.0.0.9:443")
	rapid.Check(t, func(rt *rapid.T) {
		s := steady{grace: grace}
		now := time.Unix(1000, 0)
		missed := make(map[Service]time.Time) // since when
		looks := make(map[Service]int)        // in a row that have missed it
		var told []Service
		for i := range 20 {
			now = now.Add(time.Duration(rapid.IntRange(0, 800).Draw(rt, "ms")) * time.Millisecond)
			seen := []Service{}
			for _, one := range universe {
				if rapid.Bool().Draw(rt, "seen") {
					seen = append(seen, one)
					delete(missed, one)
					looks[one] = 0
				} else {
					if looks[one]++; looks[one] == 1 {
						missed[one] = now
					}
				}
			}
			got, changed := s.step(now, seen, vips())
			if !slices.IsSortedFunc(got, compare) {
				rt.Fatalf("not sorted: %v", got)
			}
			for _, one := range universe {
				in := slices.Contains(got, one)
				since, gone := missed[one]
				switch {
				case !gone && !in:
					rt.Fatalf("%v is seen and not in the list", one)
				case gone && in && looks[one] > 1 && now.Sub(since) >= grace:
					rt.Fatalf("%v is in the list %v after it was missed first", one, now.Sub(since))
				case gone && !in && slices.Contains(told, one) && (looks[one] < 2 || now.Sub(since) < grace):
					rt.Fatalf("%v left the list %v after it was missed first, by look %d", one, now.Sub(since), looks[one])
				case gone && in && !slices.Contains(told, one):
					rt.Fatalf("%v came into the list without being seen", one)
				}
			}
			if changed != (i == 0 || !slices.Equal(got, told)) {
				rt.Fatalf("changed is %t from %v to %v", changed, told, got)
			}
			told = got
		}
	})
}
