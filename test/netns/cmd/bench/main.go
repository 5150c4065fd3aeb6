// SPDX-License-Identifier: Apache-2.0

// Bench measures hafast beside what people run today, in network namespaces.
//
//	bench takeover [-rounds N] [-faults LIST] [-systems LIST] [-hosts LIST] [-alarm T] [OUTPUT]
//	bench scale [-rounds N] [-vips LIST] [-instances N] [-window T] [OUTPUT]
//	bench xdp [-rounds N] [-packets N] [-many N] [-some N] [OUTPUT]
//	bench path [-rounds N] [-ways LIST] [-window T] [OUTPUT]
//	bench share [-rounds N] [-quota Q] [-window T] [OUTPUT]
//	bench sync [-rounds N] [-parts LIST] [-systems LIST] [-entries LIST] [-held N] [-moves N] [-deaths N] [-window T] [OUTPUT]
//	bench flowsync [-rounds N] [-protos LIST] [-rate N] [-window T] [-probes N] [-flows N] [OUTPUT]
//	bench soak [-for T] [-interval T] [-multiplier N] [OUTPUT]
//
// OUTPUT is [-out DIR] [-write-docs] [-docs FILE] [-from FILE]. With -from it measures
// nothing, and publishes the report of an earlier run.
//
// It needs root, haproxy, nginx, ethtool, keepalived, conntrackd and nftables; test/setup.sh
// installs them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"hafast/test/netns/path/load"
	"hafast/test/netns/sync/traffic"
	"hafast/test/netns/takeover"
)

// errUsage is returned for a command line that cannot be understood.
var errUsage = errors.New("usage: bench takeover|scale|xdp|path|share|sync|flowsync|soak [flags]; -h lists them")

func main() {
	takeover.ClientMain()
	load.Main()
	traffic.Main()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is main with its surroundings passed in.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	switch name, args := args[0], args[1:]; name {
	case "takeover":
		return bench(ctx, args, out, parseTakeover, benchTakeover)
	case "scale":
		return bench(ctx, args, out, parseScale, benchScale)
	case "xdp":
		return bench(ctx, args, out, parseXDP, benchXDP)
	case "path":
		return bench(ctx, args, out, parsePath, benchPath)
	case "share":
		return bench(ctx, args, out, parseShare, benchShare)
	case "sync":
		return bench(ctx, args, out, parseSync, benchSync)
	case "flowsync":
		return bench(ctx, args, out, parseFlowsync, benchFlowsync)
	case "soak":
		return bench(ctx, args, out, parseSoak, benchSoak)
	default:
		return errUsage
	}
}

// bench does what a subcommand's command line asks for.
func bench[O any](ctx context.Context, args []string, out io.Writer,
	parse func([]string) (O, error), do func(context.Context, O, io.Writer) error,
) error {
	opts, err := parse(args)
	if err != nil {
		return err
	}
	return do(ctx, opts, out)
}
