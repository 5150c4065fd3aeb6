// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// keptModules are the parts of a kernel's tree that tests can have a use for: the
// network, the disks of a guest and what these depend on.
var keptModules = []string{
	"arch", "crypto", "lib", "kernel", "net",
	"drivers/block", "drivers/char/virtio_console", "drivers/net", "drivers/virtio",
	"fs/ext4", "fs/jbd2", "fs/mbcache",
}

// bootModules are what the initramfs needs to reach the disks and the results' port.
var bootModules = []string{"virtio_pci", "virtio_blk", "virtio_console", "ext4"}

// arrangeModules prunes and unpacks the modules in dir/tree, and makes the image of them.
func arrangeModules(ctx context.Context, dir, release string) error {
	tree := filepath.Join(dir, "tree", "lib", "modules", release)
	if err := pruneModules(filepath.Join(tree, "kernel")); err != nil {
		return err
	}
	if err := decompressModules(ctx, tree); err != nil {
		return err
	}
	if err := (command{}).run(ctx, "depmod", "-b", filepath.Join(dir, "tree"), release); err != nil {
		return fmt.Errorf("list the modules' dependencies: %w", err)
	}
	return makeFilesystem(ctx, filepath.Join(dir, "tree", "lib", "modules"), filepath.Join(dir, "modules.img"))
}

func pruneModules(kernel string) error {
	var drop []string
	err := filepath.WalkDir(kernel, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(kernel, path)
		if err != nil || name == "." {
			return err
		}
		keep := slices.ContainsFunc(keptModules, func(kept string) bool {
			// A file, like fs/mbcache.ko, is named without its suffix.
			return name == kept || strings.HasPrefix(name, kept+"/") || strings.HasPrefix(name, kept+".")
		})
		above := slices.ContainsFunc(keptModules, func(kept string) bool { return strings.HasPrefix(kept, name+"/") })
		switch {
		case keep, above:
			return nil
		case d.IsDir():
			drop = append(drop, path)
			return fs.SkipDir
		}
		drop = append(drop, path)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look through the modules: %w", err)
	}
	for _, path := range drop {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("leave modules out: %w", err)
		}
	}
	return nil
}

// decompressModules unpacks modules that are compressed: busybox's insmod hands the
// file to the kernel as it is.
func decompressModules(ctx context.Context, tree string) error {
	var compressed []string
	err := filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".ko.xz") {
			compressed = append(compressed, path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("look for compressed modules: %w", err)
	}
	for files := range slices.Chunk(compressed, 200) {
		if err := (command{}).run(ctx, "xz", append([]string{"--decompress", "--"}, files...)...); err != nil {
			return fmt.Errorf("unpack modules: %w", err)
		}
	}
	return nil
}

// bootModuleFiles are the modules of the initramfs with all that they depend on, in
// the order in which they have to be loaded. What is built in has no file.
func bootModuleFiles(ctx context.Context, k Kernel) ([]string, error) {
	var files []string
	for _, module := range bootModules {
		out, err := command{}.output(ctx, "modprobe", "-d", filepath.Join(k.dir, "tree"), "-S", k.Release, "--show-depends", module)
		if err != nil {
			return nil, fmt.Errorf("find module %s: %w", module, err)
		}
		for scanner := bufio.NewScanner(strings.NewReader(out)); scanner.Scan(); {
			fields := strings.Fields(scanner.Text())
			if len(fields) >= 2 && fields[0] == "insmod" && !slices.Contains(files, fields[1]) {
				files = append(files, fields[1])
			}
		}
	}
	return files, nil
}
