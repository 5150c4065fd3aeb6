// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const rootRelease = "bookworm"

// rootPackages are what the labs of this repository call, besides busybox's like.
var rootPackages = []string{
	"haproxy", "iproute2", "nftables", "ethtool", "iputils-ping", "procps", "kmod", "conntrack", "curl", "nginx-light",
}

// Root returns the root image of full runs, made by debootstrap if the cache has none
// with these packages. It takes two minutes and root.
func (f Fetcher) Root(ctx context.Context) (string, error) {
	key := sha256.Sum256([]byte(rootRelease + " " + strings.Join(rootPackages, " ")))
	dir := filepath.Join(f.Cache, "root", fmt.Sprintf("%s-%x", rootRelease, key[:6]))
	image := filepath.Join(dir, "root.img")
	if _, err := os.Stat(dir); err == nil {
		return image, nil
	}
	if os.Geteuid() != 0 {
		return "", errors.New("debootstrap needs root: run this once as root, or take a smoke run")
	}
	f.Progress("making the root image with debootstrap (about two minutes)")
	return image, f.build(dir, func(tmp string) error {
		tree := filepath.Join(tmp, "tree")
		err := command{}.run(ctx, "debootstrap", "--variant=minbase", "--arch=amd64", "--keyring="+keyring,
			"--include="+strings.Join(rootPackages, ","), rootRelease, tree, f.Mirrors.Main)
		if err != nil {
			return fmt.Errorf("make the root image: %w", err)
		}
		for _, name := range []string{"data", "lib/modules"} {
			if err := os.MkdirAll(filepath.Join(tree, name), 0o755); err != nil {
				return fmt.Errorf("make the root image: %w", err)
			}
		}
		if err := os.RemoveAll(filepath.Join(tree, "var", "cache", "apt", "archives")); err != nil {
			return fmt.Errorf("make the root image: %w", err)
		}
		if err := makeFilesystemOf(ctx, tree, filepath.Join(tmp, "root.img"), "700M"); err != nil {
			return err
		}
		return os.RemoveAll(tree)
	})
}
