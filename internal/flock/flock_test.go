// SPDX-License-Identifier: Apache-2.0

package flock_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"hafast/internal/flock"
)

func TestDir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		never := func() { t.Error("waits for a lock that nobody has") }
		held, err := flock.Dir(dir, time.Second, never)
		if err != nil {
			t.Fatal(err)
		}
		waits := 0
		began := time.Now()
		if _, err := flock.Dir(dir, 2*time.Second, func() { waits++ }); !errors.Is(err, flock.ErrHeld) || waits != 1 {
			t.Errorf("held: %v after %d waits", err, waits)
		}
		if waited := time.Since(began); waited < 2*time.Second {
			t.Errorf("gave up after %v", waited)
		}
		if _, err := flock.Dir(dir, 0, never); !errors.Is(err, flock.ErrHeld) {
			t.Errorf("without patience: %v", err)
		}
		again, err := flock.Dir(dir, 2*time.Second, func() { _ = held.Close() })
		if err != nil {
			t.Fatalf("let go of meanwhile: %v", err)
		}
		_ = again.Close()
		if _, err := flock.Dir(filepath.Join(dir, "none"), time.Second, never); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a directory that is not there: %v", err)
		}
	})
}
