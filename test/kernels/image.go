// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed guest/init.sh
var initScript []byte

const busybox = "/bin/busybox"

// makeInitramfs writes what the kernel starts first: busybox, the drivers of the disks
// and a script. It is the whole system of a smoke run.
func makeInitramfs(ctx context.Context, k Kernel, file string) error {
	dir, err := os.MkdirTemp(filepath.Dir(file), "initramfs-")
	if err != nil {
		return fmt.Errorf("make the initramfs: %w", err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"bin", "data", "dev", "etc", "lib/modules", "modules", "newroot", "proc", "root", "run", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return fmt.Errorf("make the initramfs: %w", err)
		}
	}
	// The kernel looks for modprobe in /sbin when it wants a module itself.
	if err := os.Symlink("bin", filepath.Join(dir, "sbin")); err != nil {
		return fmt.Errorf("make the initramfs: %w", err)
	}
	if err := copyFile(busybox, filepath.Join(dir, "bin", "busybox"), 0o755); err != nil {
		return fmt.Errorf("make the initramfs: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "init"), initScript, 0o755); err != nil {
		return fmt.Errorf("make the initramfs: %w", err)
	}
	modules, err := bootModuleFiles(ctx, k)
	if err != nil {
		return err
	}
	var order strings.Builder
	for _, module := range modules {
		fmt.Fprintln(&order, filepath.Base(module))
		if err := copyFile(module, filepath.Join(dir, "modules", filepath.Base(module)), 0o644); err != nil {
			return fmt.Errorf("make the initramfs: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "modules", "order"), []byte(order.String()), 0o644); err != nil {
		return fmt.Errorf("make the initramfs: %w", err)
	}
	return packInitramfs(ctx, dir, file)
}

// packInitramfs packs a directory. It is not compressed: a guest that is emulated
// takes longer to unpack it than to read it.
func packInitramfs(ctx context.Context, dir, file string) error {
	var names strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		fmt.Fprintln(&names, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("pack the initramfs: %w", err)
	}
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("pack the initramfs: %w", err)
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, hostProgram("cpio"), "--create", "--format=newc", "--quiet")
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(names.String()), out, &stderr
	if err := errors.Join(cmd.Run(), out.Close()); err != nil {
		return fmt.Errorf("pack the initramfs: %w\n%s", err, tail(stderr.String()))
	}
	return nil
}

// makeFilesystem writes an ext4 file system with a directory's content, and some room.
// No loop device and no mount is needed for it.
func makeFilesystem(ctx context.Context, dir, file string) error {
	var size, files int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
			files++
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("measure %s: %w", dir, err)
	}
	const room = 32 << 20 // for what tests write
	blocks := (size+size/8+files*4096)/1024 + room/1024
	return makeFilesystemOf(ctx, dir, file, fmt.Sprintf("%dk", blocks))
}

// makeFilesystemOf is makeFilesystem with a size as mke2fs takes it.
func makeFilesystemOf(ctx context.Context, dir, file, size string) error {
	// A journal would be for crashes, and what is written is thrown away.
	if err := (command{}).run(ctx, "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", dir, file, size); err != nil {
		return fmt.Errorf("make a file system: %w", err)
	}
	return nil
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
