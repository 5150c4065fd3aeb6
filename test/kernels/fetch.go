// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// ErrNotServed is of a series of which the archives have no kernel any more.
var ErrNotServed = errors.New("not served")

// Kernel is one that lies in the cache, ready to be booted.
type Kernel struct {
	Series  string
	Release string // what uname -r says
	dir     string
}

// Image is the kernel itself.
func (k Kernel) Image() string { return filepath.Join(k.dir, "vmlinuz") }

// ModulesImage is a file system with what belongs into /lib/modules.
func (k Kernel) ModulesImage() string { return filepath.Join(k.dir, "modules.img") }

// Version is the numbers that a "needs Linux X.Y" is compared with.
func (k Kernel) Version() string {
	version, _, _ := strings.Cut(k.Release, "-")
	return version
}

// layout is that of a kernel's folder in the cache: another one has another number.
const layout = "1"

// Fetcher gets kernels into the cache.
type Fetcher struct {
	Cache   string
	Mirrors Mirrors
	// Progress gets a line for everything that takes time.
	Progress func(format string, args ...any)
}

// Lock keeps other runs from changing the cache until the returned function is called.
func (f Fetcher) Lock() (unlock func(), err error) {
	if err := os.MkdirAll(f.Cache, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(f.Cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Progress("waiting for another run to finish with %s", f.Cache)
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("lock the cache: %w", err)
		}
	}
	return func() { _ = file.Close() }, nil
}

// Kernel returns the newest kernel of a series, fetched if the cache has it not. If the
// archives cannot be asked, one of the cache will do.
func (f Fetcher) Kernel(ctx context.Context, s Series) (Kernel, error) {
	a := newApt(filepath.Join(f.Cache, "apt", s.Suites[0].Name), s.Suites, f.Mirrors)
	if err := a.update(ctx); err != nil {
		if k, ok := f.cached(s); ok {
			f.Progress("%s: package lists cannot be fetched; taking %s from the cache", s.Name, k.Release)
			return k, nil
		}
		return Kernel{}, err
	}
	names, err := a.names(ctx, imagePrefix)
	if err != nil {
		return Kernel{}, err
	}
	image := s.newestImage(names)
	if image == "" {
		return Kernel{}, ErrNotServed
	}
	packageVersion, err := a.field(ctx, image, "Version")
	if err != nil {
		return Kernel{}, err
	}
	release := strings.TrimPrefix(image, imagePrefix)
	k := Kernel{Series: s.Name, Release: release, dir: f.kernelDir(release, packageVersion)}
	if _, err := os.Stat(k.dir); err == nil {
		return k, nil
	}
	packages, err := f.packages(ctx, a, image)
	if err != nil {
		return Kernel{}, err
	}
	f.Progress("%s: fetching %s %s", s.Name, strings.Join(packages, ", "), packageVersion)
	err = f.build(k.dir, func(tmp string) error {
		if err := unpack(ctx, a, tmp, packages); err != nil {
			return err
		}
		return arrangeModules(ctx, tmp, release)
	})
	if err != nil {
		return Kernel{}, err
	}
	return k, f.dropOlder(s, k)
}

func (f Fetcher) kernelDir(release, packageVersion string) string {
	return filepath.Join(f.Cache, "linux", layout, release+"_"+strings.ReplaceAll(packageVersion, "/", "_"))
}

// cached is the newest kernel of a series that was fetched before.
func (f Fetcher) cached(s Series) (Kernel, bool) {
	dirs, _ := filepath.Glob(filepath.Join(f.Cache, "linux", layout, "*_*"))
	byImage := make(map[string]string)
	var names []string
	for _, dir := range dirs {
		release, _, _ := strings.Cut(filepath.Base(dir), "_")
		byImage[imagePrefix+release] = dir
		names = append(names, imagePrefix+release)
	}
	image := s.newestImage(names)
	if image == "" {
		return Kernel{}, false
	}
	return Kernel{Series: s.Name, Release: strings.TrimPrefix(image, imagePrefix), dir: byImage[image]}, true
}

// packages are all that hold parts of a kernel. From 7.1 on the image package is
// empty, and depends on one for the kernel, one for its modules and one for the list
// of what is built in.
var parts = regexp.MustCompile(`^linux-(base|binary|modules)-[0-9]`)

func (f Fetcher) packages(ctx context.Context, a apt, image string) ([]string, error) {
	depends, err := a.field(ctx, image, "Depends")
	if err != nil {
		return nil, err
	}
	packages := []string{image}
	for dependency := range strings.SplitSeq(depends, ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(dependency), " ")
		if parts.MatchString(name) {
			packages = append(packages, name)
		}
	}
	return packages, nil
}

// build makes a directory under another name and renames it when it is complete.
func (f Fetcher) build(dir string, fill func(tmp string) error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	tmp := filepath.Join(filepath.Dir(dir), ".unfinished-"+filepath.Base(dir))
	// The lock is ours: what lies there is of a run that was interrupted.
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("remove what an interrupted run left: %w", err)
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	if err := fill(tmp); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("put into the cache: %w", err)
	}
	return nil
}

// unpack fetches packages and leaves vmlinuz and the modules' tree in dir.
func unpack(ctx context.Context, a apt, dir string, packages []string) error {
	debs, root := filepath.Join(dir, "debs"), filepath.Join(dir, "root")
	if err := os.Mkdir(debs, 0o755); err != nil {
		return fmt.Errorf("make room for packages: %w", err)
	}
	if err := a.download(ctx, debs, packages...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return fmt.Errorf("find the packages: %w", err)
	}
	for _, file := range files {
		if err := (command{}).run(ctx, "dpkg-deb", "--extract", file, root); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
	if err := collect(root, dir); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(debs), os.RemoveAll(root))
}

// collect moves the kernel and its modules to where Kernel has them: releases of
// Debian have put them into /boot, /lib and /usr/lib.
func collect(root, dir string) error {
	var vmlinuz, modules []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), "vmlinuz") && d.Type().IsRegular():
			vmlinuz = append(vmlinuz, path)
		case d.IsDir() && d.Name() == "kernel" && strings.Contains(path, "lib/modules/"):
			modules = append(modules, filepath.Dir(path))
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look through the packages: %w", err)
	}
	if len(vmlinuz) != 1 || len(modules) != 1 {
		return fmt.Errorf("the packages have %d kernels and %d trees of modules; one of each was expected", len(vmlinuz), len(modules))
	}
	if err := os.Rename(vmlinuz[0], filepath.Join(dir, "vmlinuz")); err != nil {
		return fmt.Errorf("keep the kernel: %w", err)
	}
	target := filepath.Join(dir, "tree", "lib", "modules", filepath.Base(modules[0]))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("make room for modules: %w", err)
	}
	if err := os.Rename(modules[0], target); err != nil {
		return fmt.Errorf("keep the modules: %w", err)
	}
	return nil
}

// dropOlder removes the series' other kernels from the cache.
func (f Fetcher) dropOlder(s Series, keep Kernel) error {
	dirs, err := filepath.Glob(filepath.Join(f.Cache, "linux", layout, "*_*"))
	if err != nil {
		return fmt.Errorf("list the cache: %w", err)
	}
	for _, dir := range dirs {
		release, _, _ := strings.Cut(filepath.Base(dir), "_")
		if dir == keep.dir || seriesOf(release) != s.Name {
			continue
		}
		f.Progress("%s: removing %s from the cache", s.Name, release)
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove an old kernel: %w", err)
		}
	}
	return nil
}
