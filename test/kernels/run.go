// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options are what a run is made of.
type Options struct {
	Series  []Series
	Payload Payload
	// Full boots the Debian of the root image; without it there is busybox alone.
	Full bool
	// Networks are what each guest is given. Those with Bridge need CanBridge.
	Networks []Network
	Accel    string // as in Guest
	CPUs     int
	// Parallel is how many guests run at once.
	Parallel int
	Timeout  time.Duration // for a guest
	// Strict makes a fault of every skip that is not for the kernel's age.
	Strict bool
	// Keep is a folder for the kernels' logs, or "".
	Keep string
	// Verbose gets what guests print, as it arrives, or nil.
	Verbose io.Writer
	Fetcher Fetcher
}

// Run fetches, builds and boots, and returns a report for each series. An error is of
// something that all of them need, or of a run that was interrupted, which has reports
// as far as it got.
func Run(ctx context.Context, o Options) ([]Report, error) {
	work, err := os.MkdirTemp("", "hafast-kernels-")
	if err != nil {
		return nil, fmt.Errorf("make a work folder: %w", err)
	}
	defer os.RemoveAll(work)

	began := time.Now()
	data := filepath.Join(work, "data.img")
	if err := o.Payload.Build(ctx, data); err != nil {
		return nil, err
	}
	o.Fetcher.Progress("built %d test binaries in %v", len(o.Payload.Tests), time.Since(began).Round(time.Second))

	if err := os.WriteFile(filepath.Join(work, bridgeScriptName), bridgeScript, 0o755); err != nil {
		return nil, fmt.Errorf("write the bridges' script: %w", err)
	}

	kernels, root, err := o.fetch(ctx)
	if err != nil {
		return nil, err
	}
	reports := make([]Report, len(kernels))
	var guests errgroup.Group
	guests.SetLimit(max(o.Parallel, 1))
	for i, k := range kernels {
		reports[i] = k.report
		if k.report.Err != nil {
			continue
		}
		guests.Go(func() error {
			reports[i] = o.boot(ctx, k.kernel, data, root, work)
			return nil
		})
	}
	_ = guests.Wait() // each report has its own error
	return reports, context.Cause(ctx)
}

type fetched struct {
	kernel Kernel
	report Report // with an error if there is no kernel
}

// fetch gets all that comes from the cache, under its lock.
func (o Options) fetch(ctx context.Context) (kernels []fetched, root string, err error) {
	unlock, err := o.Fetcher.Lock()
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	for _, s := range o.Series {
		k, err := o.Fetcher.Kernel(ctx, s)
		if err != nil && !errors.Is(err, ErrNotServed) {
			err = fmt.Errorf("get the kernel: %w", err)
		}
		kernels = append(kernels, fetched{k, Report{Series: s.Name, Err: err}})
	}
	if o.Full {
		root, err = o.Fetcher.Root(ctx)
	}
	return kernels, root, err
}

// boot runs the tests on one kernel.
func (o Options) boot(ctx context.Context, k Kernel, data, root, work string) (r Report) {
	r = Report{Series: k.Series, Release: k.Release}
	began := time.Now()
	defer func() {
		r.Took = time.Since(began)
		if r.Err != nil {
			o.Fetcher.Progress("%s: %s", k.Series, firstLine(r.Err))
		}
	}()

	initramfs := filepath.Join(work, k.Release+".initramfs")
	if r.Err = makeInitramfs(ctx, k, initramfs); r.Err != nil {
		return r
	}
	console, err := o.console(k, &r)
	if err != nil {
		r.Err = err
		return r
	}
	defer console.Close()

	o.Fetcher.Progress("%s: booting %s", k.Series, k.Release)
	guest := Guest{
		Kernel: k, Initramfs: initramfs, Data: data, Root: root,
		Accel: o.Accel, CPUs: o.CPUs, MemoryMiB: 2048, Timeout: o.Timeout, Console: console,
		Networks: o.Networks, BridgeScript: filepath.Join(work, bridgeScriptName),
	}
	r.Err = guest.Run(ctx, func(port io.Reader) error {
		if o.Verbose != nil {
			port = io.TeeReader(port, o.Verbose)
		}
		var err error
		r.Results, err = ReadResults(ctx, port, func(p PackageResult) {
			one := Judge(k, o.Networks, Results{Packages: []PackageResult{p}, Done: true}, o.Strict)
			o.Fetcher.Progress("%s: %s: %d passed, %d failed, %d skipped in %v", k.Series, p.Package,
				one.Passed, one.Failed, one.Skipped, p.Took.Round(time.Second))
			for _, f := range one.Faults {
				o.Fetcher.Progress("%s: %s %s: %s", k.Series, f.Package, f.Test, f.Why)
			}
		})
		return err
	})
	if r.Err == nil && r.Results.Release == "" {
		r.Err = errors.New("the guest did not boot; -v shows its console")
	}
	if r.Results.Release != "" {
		r.Verdict = Judge(k, o.Networks, r.Results, o.Strict)
	}
	return r
}

// console is where the kernel's log goes.
func (o Options) console(k Kernel, r *Report) (io.WriteCloser, error) {
	var to []io.Writer
	var file *os.File
	if o.Keep != "" {
		if err := os.MkdirAll(o.Keep, 0o755); err != nil {
			return nil, fmt.Errorf("keep the console: %w", err)
		}
		var err error
		r.Console = filepath.Join(o.Keep, k.Release+".log")
		if file, err = os.Create(r.Console); err != nil {
			return nil, fmt.Errorf("keep the console: %w", err)
		}
		to = append(to, file)
	}
	if o.Verbose != nil {
		to = append(to, o.Verbose)
	}
	return consoleLog{io.MultiWriter(to...), file}, nil
}

type consoleLog struct {
	io.Writer
	file *os.File
}

func (c consoleLog) Close() error {
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}
