// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"hafast/internal/config"
)

func newCleanup(env Env) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "cleanup",
		GroupID: groupDaemon,
		Short:   "Take off what a daemon has left behind",
		Long: `Take off what a daemon has left on this host that was killed, or that was stopped
while haproxy still had connections: the data path, the virtual addresses on lo
and on the interfaces, and the sysctls, which get their old values back.
Connections to the virtual addresses that haproxy still has here end with that.

It does nothing while a daemon runs.`,
		Example: `  hafast cleanup
  hafast cleanup --config ./haa.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err == nil {
				err = env.CleanUp(cfg, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
			}
			if err != nil {
				return refusedTo("cleaned up", cmd, path, err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "nothing of hafast is left on this host")
			return err
		},
	}
	configFlag(cmd, &path)
	return cmd
}
