// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// command is one call of a program of the host.
type command struct {
	dir string
	env []string // in addition to our own
}

// run calls a program. What it wrote is part of the error, since most of these
// programs say why they fail.
func (c command) run(ctx context.Context, name string, args ...string) error {
	_, err := c.output(ctx, name, args...)
	return err
}

// output calls a program and returns its standard output.
func (c command) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, hostProgram(name), args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, tail(stdout.String()), tail(stderr.String()))
	}
	return stdout.String(), nil
}

// hostProgram finds programs of the administrator, which are not in everybody's PATH.
func hostProgram(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return name
}

// tail is the end of what a program wrote: the part that tells why it ended.
func tail(output string) string {
	const limit = 2000
	if len(output) > limit {
		return "..." + output[len(output)-limit:]
	}
	return output
}
