// SPDX-License-Identifier: Apache-2.0

// Command hafast keeps virtual IP addresses on a host whose haproxy works. It is
// the daemon ("hafast run") and the commands that prepare it and talk to it.
package main

import (
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"hafast/internal/config"
	"hafast/internal/daemon"
)

// version is set at link time: -ldflags "-X main.version=1.2.3".
var version string

// Env is everything the commands touch of the process around them.
type Env struct {
	// Args are the arguments without the program's name.
	Args []string
	// Stdin, Stdout and Stderr are the standard streams.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Daemon is what "hafast run" runs.
	Daemon func(context.Context, daemon.Options) error
	// CleanUp is what "hafast cleanup" does.
	CleanUp func(*config.Config, *slog.Logger) error
}

func main() {
	os.Exit(run(Env{
		Args:  os.Args[1:],
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Daemon: daemon.Run, CleanUp: daemon.CleanUp,
	}))
}

// run executes one command line and returns the exit code.
func run(env Env) int {
	root := newRoot(env)
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	return report(env.Stderr, root.ExecuteContext(context.Background()))
}

// Groups of commands in the help.
const (
	groupDaemon = "daemon"
	groupConfig = "config"
	groupClient = "client"
)

func newRoot(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "hafast",
		Short: "Keeps virtual IP addresses on a host whose haproxy works",
		Long: `hafast runs VRRP between the hosts of a haproxy pair, watches the local haproxy,
and moves the virtual IP addresses when a host or its haproxy dies. It sends each
connection to the haproxy that has it, wherever the address is, and with a key
replicates the tables that say which.

Exit codes: 0 it worked, 1 it did not, 2 the command line or an input file
could not be understood, 3 'drain --wait' ran out of time.`,
		Example: `  hafast check --config /etc/hafast/hafast.yaml
  hafast run --config /etc/hafast/hafast.yaml
  hafast status`,
		// Errors are reported once, by report, and without the usage in front.
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		Args:                       cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(cmd, err)
	})
	root.AddGroup(
		&cobra.Group{ID: groupDaemon, Title: "The daemon:"},
		&cobra.Group{ID: groupConfig, Title: "Its configuration:"},
		&cobra.Group{ID: groupClient, Title: "Talking to a running daemon:"},
	)
	root.AddCommand(
		newRun(env), newCleanup(env),
		newCheck(), newImport(), newKeygen(),
		newStatus(), newEvents(), newFlows(), newDrain(), newReady(),
		newVersion(),
	)
	return root
}
