// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes empty files below dir.
func write(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, nil, 0o644))
	}
}

// files lists what is below dir, in order.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			path, err = filepath.Rel(dir, path)
			names = append(names, path)
		}
		return err
	}))
	return names
}

func TestPruneModules(t *testing.T) {
	dir := t.TempDir()
	kept := []string{
		"drivers/block/virtio_blk.ko",
		"drivers/char/virtio_console.ko",
		"drivers/net/bonding/bonding.ko",
		"fs/ext4/ext4.ko",
		"fs/mbcache.ko",
		"net/8021q/8021q.ko.xz",
	}
	write(t, dir, kept...)
	write(t, dir, "drivers/char/agp/agp.ko", "drivers/gpu/drm.ko", "drivers/network.ko", "fs/xfs/xfs.ko", "sound/soundcore.ko")
	check(t, pruneModules(dir))
	if d := cmp.Diff(kept, files(t, dir)); d != "" {
		t.Error("(-want +got)\n", d)
	}
}

// TestCollect takes kernels from where releases of Debian put them.
func TestCollect(t *testing.T) {
	for name, packed := range map[string][]string{
		"6.1": {"boot/vmlinuz-6.1.0", "boot/System.map-6.1.0", "lib/modules/6.1.0/kernel/net/a.ko", "lib/modules/6.1.0/modules.builtin"},
		"7.3": {"usr/lib/modules/7.3.4/vmlinuz", "usr/lib/modules/7.3.4/kernel/net/a.ko", "usr/lib/modules/7.3.4/modules.builtin"},
	} {
		t.Run(name, func(t *testing.T) {
			root, dir := t.TempDir(), t.TempDir()
			write(t, root, packed...)
			check(t, collect(root, dir))
			release := filepath.Join("tree", "lib", "modules", filepath.Base(filepath.Dir(packed[len(packed)-1])))
			want := []string{filepath.Join(release, "kernel/net/a.ko"), filepath.Join(release, "modules.builtin"), "vmlinuz"}
			if d := cmp.Diff(want, files(t, dir)); d != "" {
				t.Error("(-want +got)\n", d)
			}
		})
	}
	if err := collect(t.TempDir(), t.TempDir()); err == nil {
		t.Error("packages without a kernel were taken")
	}
}

// TestBuildThatIsCutShort leaves nothing under the name, and is begun anew the next time.
func TestBuildThatIsCutShort(t *testing.T) {
	f := Fetcher{Cache: t.TempDir()}
	dir := filepath.Join(f.Cache, "linux", "1")
	cut := errors.New("no room")
	err := f.build(dir, func(tmp string) error {
		write(t, tmp, "half")
		return cut
	})
	if !errors.Is(err, cut) {
		t.Errorf("got %v", err)
	}
	if left := files(t, f.Cache); left != nil {
		t.Errorf("left behind: %v", left)
	}
	// A run that was killed removes nothing.
	write(t, filepath.Join(f.Cache, "linux", ".unfinished-1"), "half")
	check(t, f.build(dir, func(tmp string) error {
		write(t, tmp, "whole")
		return nil
	}))
	if got := files(t, f.Cache); !slices.Equal(got, []string{"linux/1/whole"}) {
		t.Errorf("got %v", got)
	}
}

func TestOlderKernelsAreDropped(t *testing.T) {
	f := Fetcher{Cache: t.TempDir(), Progress: t.Logf}
	for _, release := range []string{"6.1.0-9-cloud-amd64", "6.1.0-57-cloud-amd64", "6.12.9+deb12-cloud-amd64", "7.3.4+deb13-cloud-amd64"} {
		write(t, f.kernelDir(release, "1:2"), "vmlinuz")
	}
	series, err := FindSeries([]string{"6.1"})
	check(t, err)
	keep, ok := f.cached(series[0])
	if !ok || keep.Release != "6.1.0-57-cloud-amd64" {
		t.Fatalf("the newest in the cache is %q", keep.Release)
	}
	check(t, f.dropOlder(series[0], keep))
	want := []string{"6.1.0-57-cloud-amd64_1:2/vmlinuz", "6.12.9+deb12-cloud-amd64_1:2/vmlinuz", "7.3.4+deb13-cloud-amd64_1:2/vmlinuz"}
	if d := cmp.Diff(want, files(t, filepath.Join(f.Cache, "linux", layout))); d != "" {
		t.Error("(-want +got)\n", d)
	}
}
