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
	cmd := &cobra.Command{
		Use:     "check",
		GroupID: groupConfig,
		Short:   "Check configuration, kernel, interfaces and haproxy before a start",
		Long: `Read the configuration and what it stands on: kernel, interfaces, sysctls,
haproxy, keys. Each problem is one line with file:line and the mend; warnings do
not count as problems. The last line is "ok" or the number of problems, and the
exit code 0 or 1.`,
		Example: `  hafast check
  hafast check --config ./haa.yaml && systemctl reload hafast`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, problems, err := checkText(path)
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
	return cmd
}

// checkText is the report on the configuration at path and the number of its
// problems. A file that cannot be read as a configuration is not held against
// the system: there is nothing to hold.
func checkText(path string) (report string, problems int, err error) {
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
		for _, p := range check.Run(cfg, check.System()) {
			if p.Warning {
				b.WriteString("warning: ")
			} else {
				problems++
			}
			fmt.Fprintln(&b, p)
		}
	}
	if problems > 0 {
		fmt.Fprintln(&b, count(problems, "problem"))
	} else {
		b.WriteString("ok\n")
	}
	return b.String(), problems, nil
}
