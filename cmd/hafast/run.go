// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"hafast/internal/config"
	"hafast/internal/daemon"
)

const defaultConfig = "/etc/hafast/hafast.yaml"

func newRun(env Env) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "run",
		GroupID: groupDaemon,
		Short:   "Run the daemon",
		Long: `Run the daemon in the foreground, with its log on standard error.

SIGTERM and SIGINT hand the virtual addresses over to a peer, then stop; a
second one stops without waiting for the peer, a third one on the spot. SIGHUP
reads the configuration again: a bad file is refused and the old configuration
stays.

SIGUSR2 is for upgrades: the daemon ends at once and leaves the addresses and the
data path as they are. A hafast that is started within 3 seconds takes over
without a packet lost; if none is, the peers do.`,
		Example: `  hafast run
  hafast run --config ./haa.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, abort, stop := onSignals(cmd.Context())
			defer stop()
			leave, forget := signal.NotifyContext(context.WithoutCancel(cmd.Context()), syscall.SIGUSR2)
			defer forget()
			err := env.Daemon(ctx, daemon.Options{
				ConfigPath: path,
				Version:    readBuild().Version,
				LogOutput:  cmd.ErrOrStderr(),
				Abort:      abort,
				Leave:      leave,
			})
			return refusedTo("started", cmd, path, err)
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// configFlag adds --config.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", defaultConfig, "configuration `file`")
	completeFiles(cmd, "config", "yaml", "yml")
}

// completeFiles lets the shell complete a flag with files of these extensions.
func completeFiles(cmd *cobra.Command, flag string, extensions ...string) {
	// The only error is a flag that does not exist, which a test would show.
	_ = cmd.MarkFlagFilename(flag, extensions...)
}

// completeNothing keeps the shell from offering files for a flag's value.
func completeNothing(cmd *cobra.Command, flag string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
}

// onSignals returns a context that the first SIGTERM or SIGINT cancels, and one
// for the second. The third ends the process on the spot.
func onSignals(parent context.Context) (first, second context.Context, stop func()) {
	first, cancelFirst := context.WithCancel(parent)
	second, cancelSecond := context.WithCancel(parent)
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan struct{})
	go func() {
		for _, act := range []func(){cancelFirst, cancelSecond, func() { os.Exit(exitFailure) }} {
			select {
			case <-signals:
				act()
			case <-done:
				return
			}
		}
	}()
	return first, second, func() {
		signal.Stop(signals)
		close(done)
		cancelFirst()
		cancelSecond()
	}
}

// refusedTo spells out a configuration that was refused, one line per problem, and
// says what was not done for it. Other errors are as they are.
func refusedTo(done string, cmd *cobra.Command, path string, err error) error {
	var problems config.Errors
	if !errors.As(err, &problems) {
		return err
	}
	for _, p := range problems {
		cmd.PrintErrln(p)
	}
	return fmt.Errorf("not %s: %s in %s", done, count(len(problems), "problem"), path)
}

// count is "1 problem" or "2 problems".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
