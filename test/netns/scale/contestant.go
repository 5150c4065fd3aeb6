// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"hafast/test/netns/lab"
)

// Contestant is a system that can carry a Plan.
type Contestant interface {
	lab.System
	// carry starts the daemon on the host with the plan.
	carry(ctx context.Context, h *lab.Host, p Plan) error
	// transitions counts the changes of state, of all instances, that the
	// daemon has been through by its own account.
	transitions(ctx context.Context, h *lab.Host) (int, error)
	// phases are the steps of the last takeover in microseconds, by name, as the
	// daemon reports them; none where it does not.
	phases(ctx context.Context, h *lab.Host) (map[string]float64, error)
}

// Contestants are the systems that are compared.
func Contestants() ([]Contestant, error) {
	f, err := lab.NewHafast()
	if err != nil {
		return nil, err
	}
	return []Contestant{hafast{f}, keepalived{lab.KeepalivedTuned()}}, nil
}

// siteOf are the facts of a host of the lab's pair.
func siteOf(l *lab.Lab, h *lab.Host) site {
	first, second := l.Pair()
	s := site{Node: h.Name, Peer: second.Addr.String(), Priority: 101, State: "MASTER", PIDFile: h.HAProxyPIDFile()}
	if h == second {
		s.Peer, s.Priority, s.State = first.Addr.String(), 100, "BACKUP"
	}
	return s
}

type hafast struct{ *lab.Hafast }

func (c hafast) carry(ctx context.Context, h *lab.Host, p Plan) error {
	c.Config = func(h *lab.Host) string {
		s := siteOf(h.Lab(), h)
		s.Socket, s.StateDir, s.BPFDir = c.Socket(h), c.StateDir(h), c.BPFDir(h)
		return p.hafastConfig(s)
	}
	return c.Start(ctx, h)
}

func (c hafast) transitions(ctx context.Context, h *lab.Host) (int, error) {
	var status struct {
		Instances []struct {
			Transitions int `json:"transitions"`
		} `json:"instances"`
	}
	if err := c.ask(ctx, h, "status", &status); err != nil {
		return 0, err
	}
	var n int
	for _, in := range status.Instances {
		n += in.Transitions
	}
	return n, nil
}

func (c hafast) phases(ctx context.Context, h *lab.Host) (map[string]float64, error) {
	var events []event
	if err := c.ask(ctx, h, "events", &events); err != nil {
		return nil, err
	}
	return lastTakeover(events), nil
}

// ask runs a client command and decodes its answer.
func (c hafast) ask(ctx context.Context, h *lab.Host, command string, answer any) error {
	out, err := c.Client(ctx, h, command, "--json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), answer); err != nil {
		return fmt.Errorf("%s: hafast %s: %w", h.Name, command, err)
	}
	return nil
}

// event is what is used of an entry of `hafast events --json`.
type event struct {
	Kind   string `json:"kind"`
	Phases []struct {
		Name         string  `json:"name"`
		Microseconds float64 `json:"us"`
	} `json:"phases"`
}

func lastTakeover(events []event) map[string]float64 {
	phases := make(map[string]float64)
	for _, e := range events {
		if e.Kind == "takeover" {
			clear(phases)
			for _, p := range e.Phases {
				phases[p.Name] = p.Microseconds
			}
		}
	}
	return phases
}

type keepalived struct{ *lab.Keepalived }

func (c keepalived) carry(_ context.Context, h *lab.Host, p Plan) error {
	s := siteOf(h.Lab(), h)
	var err error
	if s.Script, err = c.WriteCheck(h); err != nil {
		return err
	}
	path := h.Path("keepalived.conf")
	if err := os.WriteFile(path, []byte(p.keepalivedConfig(s)), 0o644); err != nil {
		return err
	}
	return c.StartWith(h, path)
}

func (c keepalived) transitions(_ context.Context, h *lab.Host) (int, error) {
	return countTransitions(c.Proc(h).Log()), nil
}

func (c keepalived) phases(context.Context, *lab.Host) (map[string]float64, error) { return nil, nil }

// countTransitions counts the lines of keepalived's log that tell of one.
func countTransitions(log string) int {
	var n int
	for line := range strings.Lines(log) {
		if _, state, ok := strings.Cut(line, ") Entering "); ok && strings.Contains(state, " STATE") {
			n++
		}
	}
	return n
}
