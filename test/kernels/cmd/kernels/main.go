// SPDX-License-Identifier: Apache-2.0

// kernels runs tests on other kernels, under qemu. See docs/TESTING.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"hafast/test/kernels"
)

// Exit codes.
const (
	exitPassed   = 0
	exitFailed   = 1 // tests did, or were skipped
	exitUsage    = 2
	exitNotTried = 3 // nothing could be fetched, built or booted
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	began := time.Now()
	progress := func(format string, args ...any) {
		fmt.Fprintf(stderr, "%6s  %s\n", time.Since(began).Round(time.Second), fmt.Sprintf(format, args...))
	}
	opts, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitPassed
	case err != nil:
		fmt.Fprintln(stderr, "kernels:", err)
		return exitUsage
	}
	opts.Fetcher.Progress = progress
	if opts.Fetcher.Mirrors == (kernels.Mirrors{}) {
		opts.Fetcher.Mirrors = kernels.HostMirrors(ctx)
	}
	if err := kernels.CanBridge(); err != nil {
		opts.Networks = slices.DeleteFunc(opts.Networks, func(n kernels.Network) bool {
			if n.Bridge {
				progress("no network %s for the guests: %v", n.Name, err)
			}
			return n.Bridge
		})
	}
	if opts.Payload.Module, err = moduleRoot(ctx); err != nil {
		fmt.Fprintln(stderr, "kernels:", err)
		return exitNotTried
	}
	reports, err := kernels.Run(ctx, opts)
	if reports != nil {
		kernels.WriteFaults(stdout, reports)
		fmt.Fprintln(stdout)
		err = errors.Join(err, kernels.WriteTable(stdout, reports, columns))
	}
	if err != nil {
		fmt.Fprintln(stderr, "kernels:", err)
		return exitNotTried
	}
	return exitCode(reports)
}

// exitCode is that of the worst row. A kernel that is served no more is in the table,
// and nobody's failure while there are others.
func exitCode(reports []kernels.Report) int {
	code, served := exitPassed, false
	for _, r := range reports {
		if errors.Is(r.Err, kernels.ErrNotServed) {
			continue
		}
		served = true
		switch {
		case r.Err != nil && !errors.Is(r.Err, kernels.ErrTimeout):
			return exitNotTried
		case !r.OK():
			code = exitFailed
		}
	}
	if !served {
		return exitNotTried
	}
	return code
}

func parse(args []string, stderr io.Writer) (kernels.Options, error) {
	var o kernels.Options
	flags := flag.NewFlagSet("kernels", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var (
		smoke    = flags.Bool("smoke", false, "busybox instead of Debian: no debootstrap, and every skip is a failure")
		series   = flags.String("kernels", "", "kernels, with commas: "+strings.Join(kernels.AllSeries(), ", ")+" (default: all, or "+strings.Join(kernels.SmokeSeries(), " and ")+" with -smoke)")
		packages = flags.String("package", "", "packages whose tests run, with commas, as ./test/wires (default: a list of those that depend on the kernel)")
		pattern  = flags.String("run", "", "run these tests alone, as go test -run takes it")
		hub      = flags.Int("nics", 4, "virtio interfaces on the guest's network named hub")
		timeout  = flags.Duration("timeout", 0, "for a guest (default 90m, or 10m with -smoke)")
		verbose  = flags.Bool("v", false, "print the guest's console and its tests' output")
		mirror   = flags.String("mirror", "", "Debian archive (default: the host's)")
		security = flags.String("security-mirror", "", "archive of Debian's security updates (default: the host's)")
	)
	flags.StringVar(&o.Keep, "keep", "", "keep the kernels' logs in this folder")
	flags.StringVar(&o.Accel, "accel", "tcg", "qemu's accelerator: tcg, which works everywhere, or kvm")
	flags.IntVar(&o.CPUs, "cpus", 0, "processors of a guest (default 2, for the pair's daemons; 1 with -smoke)")
	flags.IntVar(&o.Parallel, "parallel", 0, "guests that run at once (default: as many as there are processors for)")
	flags.StringVar(&o.Fetcher.Cache, "cache", defaultCache(), "where kernels and the root image are kept")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	names, tests, limit, cpus := kernels.AllSeries(), fullTests(), 90*time.Minute, 2
	if *smoke {
		names, tests, limit, cpus = kernels.SmokeSeries(), smokeTests(), 10*time.Minute, 1
	}
	if o.CPUs == 0 {
		o.CPUs = cpus
	}
	if o.Parallel == 0 {
		o.Parallel = max(1, runtime.NumCPU()/o.CPUs)
	}
	if *series != "" {
		names = strings.Split(*series, ",")
	}
	if *packages != "" {
		tests = nil
		for p := range strings.SplitSeq(*packages, ",") {
			tests = append(tests, kernels.Tests{Package: filepath.Clean(p), Timeout: max(packageTimeout, *timeout)})
		}
	}
	if *pattern != "" {
		for i := range tests {
			tests[i].Run = *pattern
		}
	}
	if *timeout != 0 {
		limit = *timeout
	}
	if *verbose {
		o.Verbose = stderr
	}
	if (*mirror == "") != (*security == "") {
		return o, errors.New("-mirror and -security-mirror go together")
	}
	if *mirror != "" {
		o.Fetcher.Mirrors = kernels.Mirrors{Main: *mirror, Security: *security}
	}
	o.Networks = []kernels.Network{{Name: "hub", NICs: *hub}}
	if !*smoke {
		o.Networks = append(o.Networks, bridgedNetworks()...)
	}
	o.Full, o.Strict, o.Timeout = !*smoke, *smoke, limit
	o.Payload.Tests, o.Payload.Daemon = tests, !*smoke
	var err error
	o.Series, err = kernels.FindSeries(names)
	return o, err
}

func defaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "hafast", "kernels")
}

// moduleRoot is the tree that is tested, wherever in it this was started.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "hafast").Output()
	if err != nil {
		return "", fmt.Errorf("find hafast's sources: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
