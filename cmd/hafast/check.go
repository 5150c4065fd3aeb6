// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hafast/internal/check"
	"hafast/internal/config"
)

func newCheck() *cobra.Command {
	var path string
	var verbose bool
	cmd := &cobra.Command{
		Use:     "check",
		GroupID: groupConfig,
		Short:   "Check configuration, kernel, interfaces and haproxy before a start",
		Long: `Read the configuration and what it stands on: kernel, interfaces, sysctls,
haproxy, keys. The XDP program is loaded and run for a moment, where it meets
nobody's packets. Each problem is one line with file:line and the mend; warnings do
not count as problems. The last line is "ok" or the number of problems, and the
exit code 0 or 1.`,
		Example: `  hafast check
  hafast check --config ./haa.yaml && systemctl reload hafast`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, problems, err := checkText(path, verbose)
			if err != nil {
				return err
			}
			if err := write(cmd.OutOrStdout(), report); err != nil {
				return err
			}
			if problems > 0 {
				return errSaid()
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show all that the kernel's verifier says of a program that it refuses")
	return cmd
}

// checkText is the report on the configuration at path and the number of its
// problems. A file that cannot be read as a configuration is not held against
// the system: there is nothing to hold.
func checkText(path string, verbose bool) (report string, problems int, err error) {
	var b strings.Builder
	cfg, err := config.Load(path)
	var bad config.Errors
	switch {
	case errors.As(err, &bad):
		for _, p := range bad {
			fmt.Fprintln(&b, p)
		}
		problems = len(bad)
	case err != nil:
		return "", 0, err
	default:
		problems = hostText(&b, check.Run(cfg, check.System()), verbose)
	}
	if problems > 0 {
		fmt.Fprintln(&b, count(problems, "problem"))
	} else {
		b.WriteString("ok\n")
	}
	return b.String(), problems, nil
}

// hostText writes what was found on the host, and returns how many problems that are.
func hostText(b *strings.Builder, found []check.Problem, verbose bool) (problems int) {
	for _, p := range found {
		if p.Warning {
			b.WriteString("warning: ")
		} else {
			problems++
		}
		fmt.Fprintln(b, p)
		if verbose && p.Detail != "" {
			for line := range strings.Lines(p.Detail) {
				fmt.Fprintln(b, "    "+strings.TrimRight(line, "\n"))
			}
		}
	}
	return problems
}
