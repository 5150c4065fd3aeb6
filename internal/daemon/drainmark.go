// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// drainMark is a file that keeps the operator's drain over a restart of the
// daemon. The state directory is usually on a tmpfs, so that it does not keep it
// over a reboot.
type drainMark struct{ dir string }

func (d drainMark) path() string { return filepath.Join(d.dir, "drained") }

func (d drainMark) read() bool {
	_, err := os.Stat(d.path())
	return err == nil
}

func (d drainMark) write(drained bool) error {
	if drained {
		return os.WriteFile(d.path(), nil, 0o644)
	}
	if err := os.Remove(d.path()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
