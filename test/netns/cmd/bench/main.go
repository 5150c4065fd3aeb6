// Bench measures hafast beside what people run today, in network namespaces.
//
//	bench takeover [-rounds N] [-faults LIST] [-systems LIST] [-out DIR] [-write-docs]
//	bench scale [-rounds N] [-vips LIST] [-instances N] [-window T] [-out DIR] [-write-docs]
//	bench xdp [-rounds N] [-packets N] [-many N] [-some N] [-out DIR] [-write-docs]
//	bench path [-rounds N] [-ways LIST] [-window T] [-out DIR] [-write-docs]
//	bench share [-rounds N] [-quota Q] [-window T] [-out DIR] [-write-docs]
//	bench soak [-for T] [-interval T] [-multiplier N] [-out DIR] [-write-docs]
//
// It needs root, haproxy, nginx, ethtool, keepalived and nftables; test/setup.sh
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
	"hafast/test/netns/takeover"
)

// errUsage is returned after the usage has been printed.
var errUsage = errors.New("usage: bench takeover|scale|xdp|path|share|soak [flags]; -h lists them")

func main() {
	takeover.ClientMain()
	load.Main()
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
	switch args[0] {
	case "takeover":
		opts, err := parseTakeover(args[1:])
		if err != nil {
			return err
		}
		return benchTakeover(ctx, opts, out)
	case "scale":
		opts, err := parseScale(args[1:])
		if err != nil {
			return err
		}
		return benchScale(ctx, opts, out)
	case "xdp":
		opts, err := parseXDP(args[1:])
		if err != nil {
			return err
		}
		return benchXDP(ctx, opts, out)
	case "path":
		opts, err := parsePath(args[1:])
		if err != nil {
			return err
		}
		return benchPath(ctx, opts, out)
	case "share":
		opts, err := parseShare(args[1:])
		if err != nil {
			return err
		}
		return benchShare(ctx, opts, out)
	case "soak":
		opts, err := parseSoak(args[1:])
		if err != nil {
			return err
		}
		return benchSoak(ctx, opts, out)
	default:
		return errUsage
	}
}
