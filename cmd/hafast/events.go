// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"hafast/internal/control"
)

func newEvents() *cobra.Command {
	var (
		socket         string
		asJSON, follow bool
	)
	cmd := &cobra.Command{
		Use:     "events",
		GroupID: groupClient,
		Short:   "Show the transitions, their causes and how long they took",
		Long: `Show what the daemon remembers, oldest first: each transition with its cause
and, on a takeover, the time of each phase; also health changes, peers that come
and go, state sync, rival claims, mended addresses, drains and reloads.`,
		Example: `  hafast events
  hafast events --follow
  hafast events --json | jq -r '.[] | select(.kind == "transition") | .cause'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := control.NewClient(socket)
			out := cmd.OutOrStdout()
			if follow {
				ctx, stop := untilInterrupted(cmd.Context())
				defer stop()
				return followEvents(ctx, client, out, asJSON)
			}
			events, err := client.Events(cmd.Context(), 0)
			if err != nil {
				return err
			}
			if asJSON {
				return writeEventArray(out, events)
			}
			var b strings.Builder
			for _, ev := range events {
				b.WriteString(eventText(ev))
			}
			return write(out, b.String())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array; with --follow one object per line")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new events until interrupted")
	socketFlag(cmd, &socket)
	return cmd
}

// followEvents prints events until ctx is done or the daemon stops.
func followEvents(ctx context.Context, client *control.Client, out io.Writer, asJSON bool) error {
	var last uint64
	for ev, err := range client.Follow(ctx, 0) {
		if err != nil {
			return err
		}
		// The first event says where the daemon's memory begins; from then on a
		// jump is a loss.
		if missed := ev.Seq - last - 1; last > 0 && missed > 0 && !asJSON {
			if err := write(out, fmt.Sprintf("(%s lost: they came faster than they could be read)\n", count(int(missed), "event"))); err != nil {
				return err
			}
		}
		last = ev.Seq
		if asJSON {
			err = writeJSONLine(out, ev)
		} else {
			err = write(out, eventText(ev))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeEventArray(out io.Writer, events []control.Event) error {
	array := newJSONArray(out)
	for _, ev := range events {
		if err := array.add(ev); err != nil {
			return err
		}
	}
	return array.end()
}

// eventText is one event in one line: time, instance, what, cause, phases.
func eventText(ev control.Event) string {
	const layout = "2006-01-02 15:04:05.000"
	what := ev.Kind
	switch {
	case ev.From != "":
		what = ev.From + " -> " + ev.To
	case ev.To != "": // A check's first result has nothing before it.
		what += " " + ev.To
	}
	line := fmt.Sprintf("%s  %-10s  %-16s  %s", ev.Time.Local().Format(layout), orDash(ev.Instance), what, ev.Cause)
	if len(ev.Phases) > 0 {
		phases := make([]string, len(ev.Phases))
		for i, p := range ev.Phases {
			phases[i] = p.Name + " " + microseconds(p.Microseconds)
		}
		line += "  (" + strings.Join(phases, ", ") + ")"
	}
	return strings.TrimRight(line, " ") + "\n"
}
