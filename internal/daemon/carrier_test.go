// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hafast/internal/link"
)

// card is a network interface whose link comes back some time after a reset.
type card struct {
	back time.Duration // negative: never
	gone bool
}

func TestAwaitLinks(t *testing.T) {
	const never = -1
	up := func(name string) link.State { return link.State{Name: name, Index: 2, Up: true} }
	down := func(name string) link.State { return link.State{Name: name, Index: 2} }
	for _, test := range []struct {
		name   string
		before []link.State
		cards  map[string]card
		stop   time.Duration // the daemon is asked to stop; 0: it is not
		waits  time.Duration
		up     []string // in the end
		log    string
	}{
		{
			name: "nothing was reset", before: []link.State{up("eth0"), up("lo")},
			cards: map[string]card{"eth0": {}, "lo": {}}, up: []string{"eth0", "lo"},
		},
		{
			name: "a card was reset", before: []link.State{up("eth0"), up("lo")},
			cards: map[string]card{"eth0": {back: 3 * time.Second}, "lo": {}},
			waits: 3 * time.Second, up: []string{"eth0", "lo"}, log: `msg="the links are back" after=3s`,
		},
		{
			name: "two were", before: []link.State{up("eth0"), up("eth1")},
			cards: map[string]card{"eth0": {back: time.Second}, "eth1": {back: 2 * time.Second}},
			waits: 2 * time.Second, up: []string{"eth0", "eth1"}, log: `interfaces="[eth0 eth1]"`,
		},
		{
			name: "one was down before", before: []link.State{up("eth0"), down("eth1")},
			cards: map[string]card{"eth0": {}, "eth1": {back: never}}, up: []string{"eth0"},
		},
		{
			name: "it stays down", before: []link.State{up("eth0")}, cards: map[string]card{"eth0": {back: never}},
			waits: carrierPatience, log: `level=WARN msg="links have not come back since the XDP program was attached" interfaces=[eth0]`,
		},
		{
			name: "the interface goes", before: []link.State{up("eth0"), up("lo")},
			cards: map[string]card{"eth0": {gone: true}, "lo": {}}, up: []string{"lo"},
		},
		{
			name: "stopped meanwhile", before: []link.State{up("eth0")}, cards: map[string]card{"eth0": {back: never}},
			stop: time.Second, waits: time.Second,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var log bytes.Buffer
				renewed := 0
				r := linkReset{
					before: make(map[string]link.State), log: slog.New(slog.NewTextHandler(&log, nil)), while: func() { renewed++ },
					state: func(name string) (link.State, error) {
						c := test.cards[name]
						if c.gone {
							return link.State{}, link.ErrNotFound
						}
						return link.State{Name: name, Index: 2, Up: c.back >= 0 && time.Since(began) >= c.back}, nil
					},
				}
				for _, s := range test.before {
					r.before[s.Name] = s
				}
				ctx := t.Context()
				if test.stop > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.stop)
					defer cancel()
				}
				after := r.await(ctx)
				if waited := time.Since(began); waited < test.waits || waited > test.waits+carrierEvery {
					t.Errorf("waited %v, want %v", waited, test.waits)
				}
				if test.waits > 0 && renewed < int(test.waits/carrierEvery)-1 {
					t.Errorf("what would lapse was renewed %d times in %v", renewed, test.waits)
				}
				maps.DeleteFunc(after, func(_ string, s link.State) bool { return !s.Up })
				if got := slices.Sorted(maps.Keys(after)); !slices.Equal(got, test.up) {
					t.Errorf("up are %v, want %v", got, test.up)
				}
				if !strings.Contains(log.String(), test.log) || test.waits == 0 && log.Len() > 0 {
					t.Errorf("log:\n%s\nwant %s", log.String(), test.log)
				}
			})
		})
	}
}
