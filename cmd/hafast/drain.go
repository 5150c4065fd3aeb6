// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hafast/internal/control"
)

func newDrain() *cobra.Command {
	var (
		socket        string
		timeout, wait time.Duration
	)
	cmd := &cobra.Command{
		Use:     "drain",
		GroupID: groupClient,
		Short:   "Hand the virtual addresses over and take no new ones",
		Long: `Hand the virtual addresses over to a peer and wait until it has them. Until
'hafast ready', this host takes over nothing while another can, and its haproxy
gets no new connections from the pair; those it has go on until they end. Where
nobody takes over, the addresses stay here and are served; the exit code is 1.

With --wait, go on until the last connection has ended, and show how many are
left. When the time is up first, the exit code is 3 and the drain goes on.`,
		Example: `  hafast drain --wait 10m && systemctl restart haproxy && hafast ready
  hafast drain --timeout 30s`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return usageError(cmd, fmt.Errorf("--timeout %v: want a time above 0, such as 10s", timeout))
			}
			waits := cmd.Flags().Changed("wait")
			if waits && wait <= 0 {
				return usageError(cmd, fmt.Errorf("--wait %v: want a time above 0, such as 10m", wait))
			}
			client, out := control.NewClient(socket), cmd.OutOrStdout()
			result, err := client.Drain(cmd.Context(), timeout)
			if err != nil {
				return err
			}
			if err := write(out, drainText(result)); err != nil {
				return err
			}
			if n := len(result.Kept); n > 0 {
				return fmt.Errorf("drained, but nobody took over %s within %v; 'hafast ready' takes the drain back", count(n, "instance"), timeout)
			}
			if waits {
				return waitUntilEmpty(cmd.Context(), client, out, wait)
			}
			return write(out, leftText(result.Connections))
		},
	}
	cmd.Flags().DurationVarP(&timeout, "timeout", "t", control.DefaultDrainTimeout, "how long to wait for a peer to take over")
	cmd.Flags().DurationVarP(&wait, "wait", "w", 0, "then wait so long, at most, for the last connection to end")
	completeNothing(cmd, "timeout")
	completeNothing(cmd, "wait")
	socketFlag(cmd, &socket)
	return cmd
}

// drainText tells what became of each instance that was Active here.
func drainText(result control.DrainResult) string {
	if len(result.Moved)+len(result.Kept) == 0 {
		return "drained; no virtual address was here\n"
	}
	var b strings.Builder
	for _, h := range result.Moved {
		fmt.Fprintf(&b, "%s: %s moved", h.Instance, vipsText(h.VIPs))
		if h.To != "" {
			b.WriteString(" to " + h.To)
		}
		b.WriteByte('\n')
	}
	for _, h := range result.Kept {
		fmt.Fprintf(&b, "%s: %s stays here", h.Instance, vipsText(h.VIPs))
		if h.Reason != "" {
			b.WriteString(": " + h.Reason)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func newReady() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:     "ready",
		GroupID: groupClient,
		Short:   "Take part again after a drain",
		Long: `Take a drain back: this host takes part in the election again. Whether it gets
its virtual addresses back is up to priority and preempt.`,
		Example: `  hafast ready`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := control.NewClient(socket).Ready(cmd.Context()); err != nil {
				return err
			}
			return write(cmd.OutOrStdout(), "ready; this host takes part in the election\n")
		},
	}
	socketFlag(cmd, &socket)
	return cmd
}
