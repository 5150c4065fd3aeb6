// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stopPatience is how long a test has to end when this command is interrupted.
const stopPatience = 20 * time.Second

// testedPackages lists those of the packages that have tests; all are meant by none.
func testedPackages(ctx context.Context, patterns []string) ([]string, error) {
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	const withTests = "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}"
	var errors bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-f", withTests}, patterns...)...)
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w: %s", err, bytes.TrimSpace(errors.Bytes()))
	}
	packages := strings.Fields(string(out))
	if len(packages) == 0 {
		return nil, fmt.Errorf("no tests in %s", strings.Join(patterns, " "))
	}
	return packages, nil
}

// testOnce tests a package once, in an order of its own. That tests fail is no error.
func testOnce(ctx context.Context, pkg, tests string, timeout time.Duration) (outcome, error) {
	args := []string{"test", "-json", "-race", "-count=1", "-shuffle=on", "-timeout", timeout.String()}
	if tests != "" {
		args = append(args, "-run", tests)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "HAFAST_REQUIRE_NETNS=1")
	// The test is a child of go's, which would end without it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGINT) }
	cmd.WaitDelay = stopPatience
	var events, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &events, &complaints
	failed := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // nobody is left, usually
	}
	o, err := readOutcome(&events)
	if err != nil {
		return o, fmt.Errorf("test %s: %w", pkg, err)
	}
	o.output = append(o.output, complaints.Bytes()...)
	if failed != nil && len(o.failures) == 0 {
		o.failures = []failure{{test: wholePackage, line: firstOf(failed.Error(), complaints.String())}}
	}
	return o, nil
}

// firstOf is the first line of what a command complains of, or else how it ended.
func firstOf(ended, complaints string) string {
	if line, _, _ := strings.Cut(strings.TrimSpace(complaints), "\n"); line != "" {
		return line
	}
	return ended
}

// keep writes the output of a run into a file, and returns its name.
func keep(dir, pkg string, round int, output []byte) (path string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("keep the output: %w", err)
	}
	path = filepath.Join(dir, fmt.Sprintf("%s.%d.log", strings.ReplaceAll(pkg, "/", "_"), round))
	if err := os.WriteFile(path, output, 0o644); err != nil {
		return "", fmt.Errorf("keep the output: %w", err)
	}
	return path, nil
}
