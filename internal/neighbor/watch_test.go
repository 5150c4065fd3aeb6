// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// In a script, one letter is one question: R reachable, u unanswered, U unanswered with
// nothing else having arrived here, - not to be asked, N the same with nothing else.
func TestAbsence(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         string // as long as the script: g gone, . there
	}{
		{"it answers", "RRRRRRRRRR", ".........."},
		{"it dies", "RRuuuuuuuu", ".......ggg"},
		{"it was dead already", "uuuuuuu", ".....gg"},
		{"an answer is in time", "RuuuuuRuuuuuRuuuuu", ".................."},
		{"it comes back", "uuuuuuRuuuuuR", ".....g......."},
		{"this host is deaf", "RUUUUUUUUUUUU", "............."},
		{"this host was deaf, and hears again", "RUUUUUUUUuuRR", "............."},
		{"this host becomes deaf", "RuUUUUUUUUUUU", "............."},
		{"a lonely client that tries again ever more seldom", "uUuUUuUUUUU", ".....gggggg"},
		{"it cannot be asked", "----------", ".........."},
		{"it cannot be asked for a moment", "uuuuu-uuuuuu", "...........g"},
		{"what is gone stays so while it cannot be asked", "uuuuuuNNN-", ".....ggggg"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a absence
			got := strings.Map(func(r rune) rune {
				answer := map[rune]Answer{'R': Reachable, 'u': Unanswered, 'U': Unanswered}[r]
				a.step(answer, r != 'U' && r != 'N')
				if a.gone() {
					return 'g'
				}
				return '.'
			}, tt.script)
			if got != tt.want {
				t.Errorf("%s\n%s, want\n%s", tt.script, got, tt.want)
			}
		})
	}
}

func TestDeparted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			mu      sync.Mutex // all below
			frames  uint64
			failure error
			asked   int
			answers = map[netip.Addr]Answer{there4: Reachable, there6: Reachable}
			reports []string
			begun   = time.Now()
		)
		locked := func(f func()) {
			mu.Lock()
			defer mu.Unlock()
			f()
		}
		d := New(
			func(a netip.Addr) (answer Answer) {
				locked(func() { asked, answer = asked+1, answers[a] })
				return answer
			},
			func() (n uint64, err error) {
				locked(func() { frames, n, err = frames+1, frames+1, failure })
				return n, err
			},
			func(a netip.Addr, gone bool) {
				locked(func() { reports = append(reports, fmt.Sprintf("%s gone: %t after %s", a, gone, time.Since(begun))) })
			},
		)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		}()
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			locked(func() {
				if !slices.Equal(reports, want) {
					t.Errorf("reported %q, want %q", reports, want)
				}
				reports, begun = nil, time.Now()
			})
		}
		// now has it answer so, and frames counted so, from now on.
		now := func(addr netip.Addr, answer Answer, err error) {
			locked(func() { answers[addr], failure = answer, err })
		}

		expect(10*time.Second + time.Millisecond)
		locked(func() {
			if asked != 0 {
				t.Errorf("asked %d times with nobody to watch", asked)
			}
		})
		d.Set([]netip.Addr{there4, there6})
		expect(10 * time.Second)
		now(there4, Unanswered, nil)
		expect(4*time.Second, "10.9.0.2 gone: true after 2.999s")
		d.Set([]netip.Addr{there4}) // which changes nothing for this one
		expect(4 * time.Second)
		now(there4, Reachable, nil)
		expect(time.Second, "10.9.0.2 gone: false after 499ms")
		now(there4, Unanswered, errors.New("no counters"))
		expect(10 * time.Second)
		now(there4, Unanswered, nil)
		expect(4*time.Second, "10.9.0.2 gone: true after 2.999s")
		d.Set(nil)
		d.Set([]netip.Addr{there4}) // it has been back, and said goodbye again
		expect(2 * time.Second)
		expect(2*time.Second, "10.9.0.2 gone: true after 999ms")
	})
}
