// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"hafast/internal/keepalived"
)

// importMode: the file may hold the password of version 2 authentication.
const importMode = 0o640

func newImport() *cobra.Command {
	var (
		out   string
		force bool
	)
	cmd := &cobra.Command{
		Use:     "import FILE...",
		GroupID: groupConfig,
		Short:   "Turn keepalived.conf and conntrackd.conf into hafast.yaml",
		Long: `Read keepalived.conf, and conntrackd.conf if there is one, and print the
hafast.yaml that does the same. What has no counterpart becomes a comment in it
and a warning on standard error; nothing is dropped in silence. What is written
without a warning loads. The exit code is 0 with or without warnings, and 2 when
a file cannot be read or understood, or has no vrrp_instance.`,
		Example: `  hafast import /etc/keepalived/keepalived.conf
  hafast import /etc/keepalived/keepalived.conf -o /etc/hafast/hafast.yaml
  hafast import /etc/keepalived/keepalived.conf /etc/conntrackd/conntrackd.conf -o hafast.yaml --force`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, errors.New("import wants a FILE, such as /etc/keepalived/keepalived.conf"))
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"conf"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, files []string) error {
			result, err := keepalived.Import(files)
			for _, w := range result.Warnings {
				cmd.PrintErrln("warning:", w)
			}
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			if out == "" {
				return write(cmd.OutOrStdout(), string(result.YAML))
			}
			if err := writeFile(out, result.YAML, force); err != nil {
				return err
			}
			return write(cmd.OutOrStdout(), fmt.Sprintf("wrote %s; look at it, then: hafast check --config %s\n", out, out))
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to this `file` instead of standard output")
	cmd.Flags().BoolVar(&force, "force", false, "replace the output file if there is one")
	completeFiles(cmd, "output", "yaml", "yml")
	return cmd
}

// writeFile puts data at path in one step: a reader sees the old file or the
// whole new one. Without force an existing file is left alone, even one that
// appears at the last moment.
func writeFile(path string, data []byte, force bool) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // Keep a link that leads elsewhere, replace what it leads to.
	}
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".hafast-import-*")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("directory %s does not exist; create it first: mkdir -p %s", dir, dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, writeErr := tmp.Write(data)
	if err := errors.Join(writeErr, tmp.Chmod(importMode), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	var flags uint = unix.RENAME_NOREPLACE
	if force {
		flags = 0
	}
	err = unix.Renameat2(unix.AT_FDCWD, tmp.Name(), unix.AT_FDCWD, path, flags)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; add --force to replace it", path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
