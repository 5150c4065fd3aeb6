// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hafast/internal/control"
)

const watchInterval = time.Second

func newStatus() *cobra.Command {
	var (
		socket        string
		asJSON, watch bool
	)
	cmd := &cobra.Command{
		Use:     "status",
		GroupID: groupClient,
		Short:   "Show who holds the virtual addresses, and why",
		Long: `Show each instance with its state, how long it has been in it, its priority
(configured/effective), the host that is Active and the virtual addresses; then
the health checks, the haproxies that take connections, what the liveness
sessions say of the peers, the services, the data path and state sync. States of
an instance: init, backup, active, fault; of a haproxy: up, drain, down, unknown.
What is unprotected would be lost if this host failed now.`,
		Example: `  hafast status
  hafast status --watch
  hafast status --json | jq -r '.instances[] | .name + " " + .state'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := control.NewClient(socket)
			out := cmd.OutOrStdout()
			if watch {
				ctx, stop := untilInterrupted(cmd.Context())
				defer stop()
				return watchStatus(ctx, client, out, asJSON)
			}
			st, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(out, st)
			}
			return write(out, statusText(st, time.Now()))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON; with --watch one line each time")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "print again every second until interrupted")
	socketFlag(cmd, &socket)
	return cmd
}

// watchStatus prints the status every second until ctx is done. A daemon that
// does not answer at first is an error; one that goes away later may be
// restarting, which is worth watching.
func watchStatus(ctx context.Context, client *control.Client, out io.Writer, asJSON bool) error {
	redraw := isTerminal(out) && !asJSON
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for first := true; ; first = false {
		st, err := client.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		}
		if err := showStatus(out, st, err, asJSON, redraw, first); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// showStatus prints one round of a watch.
func showStatus(out io.Writer, st control.Status, failure error, asJSON, redraw, first bool) error {
	if asJSON {
		if failure != nil {
			return writeJSONLine(out, struct {
				Error string `json:"error"`
			}{failure.Error()})
		}
		return writeJSONLine(out, st)
	}
	text := statusText(st, time.Now())
	if failure != nil {
		text = fmt.Sprintf("%v\n", failure)
	}
	switch {
	case redraw:
		text = overdraw(text)
	case !first:
		text = "\n" + text
	}
	return write(out, text)
}

// overdraw draws over what the terminal shows, line by line, which flickers less
// than wiping it first (ECMA-48: CUP, EL, ED).
func overdraw(text string) string {
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K", "\x1b[J"
	return home + strings.ReplaceAll(text, "\n", clearLine+"\n") + clearBelow
}
