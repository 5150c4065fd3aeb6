// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

//go:embed guest/run.sh
var runScript []byte

// Tests are the tests of one package that run in a guest.
type Tests struct {
	Package string        // as a path below the module's root: "pkg/loader"
	Run     string        // as in go test -run; empty is all
	Skip    string        // as in go test -skip
	Timeout time.Duration // in the guest, where everything takes ten times as long
}

// Payload is what is tested: a file system with test binaries and what they read.
type Payload struct {
	Module string // the root of the tree
	Tests  []Tests
	// Daemon reports whether tests start hafast itself.
	Daemon bool
}

// readByTests are the files besides testdata folders that tests open.
var readByTests = []string{"bpf/*.h", "bpf/*.c", "docs/*.md"}

// Build compiles the tests and writes the data image to file.
func (p Payload) Build(ctx context.Context, file string) error {
	dir, err := os.MkdirTemp(filepath.Dir(file), "data-")
	if err != nil {
		return fmt.Errorf("make the data image: %w", err)
	}
	defer os.RemoveAll(dir)
	var list strings.Builder
	for _, t := range p.Tests {
		if err := p.compileTest(ctx, t.Package, filepath.Join(dir, "tree", t.Package, "package.test")); err != nil {
			return err
		}
		fmt.Fprintf(&list, "%s\t%v\t%s\t%s\n", t.Package, t.Timeout, orNothing(t.Skip), t.Run)
	}
	if p.Daemon {
		if err := p.goTool(ctx, "build", "-o", filepath.Join(dir, "bin", "hafast"), "./cmd/hafast"); err != nil {
			return fmt.Errorf("build hafast: %w", err)
		}
	}
	for name, content := range map[string][]byte{"tests": []byte(list.String()), "run.sh": runScript} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			return fmt.Errorf("make the data image: %w", err)
		}
	}
	if err := copyFile(busybox, filepath.Join(dir, "busybox"), 0o755); err != nil {
		return fmt.Errorf("make the data image: %w", err)
	}
	if err := p.copyTestdata(filepath.Join(dir, "tree")); err != nil {
		return fmt.Errorf("make the data image: %w", err)
	}
	return makeFilesystem(ctx, dir, file)
}

// orNothing stands for an empty pattern where a field must not be empty: the shell
// takes two tabs for one. It matches no test's name.
func orNothing(pattern string) string {
	if pattern == "" {
		return "^$"
	}
	return pattern
}

func (p Payload) compileTest(ctx context.Context, pkg, binary string) error {
	if err := p.goTool(ctx, "test", "-c", "-o", binary, "./"+pkg); err != nil {
		return fmt.Errorf("compile the tests of %s: %w", pkg, err)
	}
	if _, err := os.Stat(binary); err != nil {
		return fmt.Errorf("package %s has no tests", pkg)
	}
	return nil
}

// goTool builds statically, as there is no C library in a smoke run's guest, and
// without symbols: traces do not need them, and the image is half as large.
func (p Payload) goTool(ctx context.Context, verb string, args ...string) error {
	args = append([]string{verb, "-ldflags=-s -w"}, args...)
	return command{dir: p.Module, env: []string{"CGO_ENABLED=0"}}.run(ctx, "go", args...)
}

// copyTestdata copies what tests read to where they expect it.
func (p Payload) copyTestdata(to string) error {
	var names []string
	for _, pattern := range readByTests {
		found, err := filepath.Glob(filepath.Join(p.Module, pattern))
		if err != nil {
			return err
		}
		names = append(names, found...)
	}
	err := filepath.WalkDir(p.Module, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != p.Module:
			return fs.SkipDir
		case d.Type().IsRegular() && strings.Contains(path, "/testdata/"):
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		rel, err := filepath.Rel(p.Module, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := copyFile(name, target, 0o644); err != nil {
			return err
		}
	}
	return nil
}
