// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"hafast/internal/config"
)

// maxNumber bounds what is read of a tracked file, in bytes.
const maxNumber = 64

// File follows the number in a file. Its check is named "file PATH"; it is up
// while the file holds a whole decimal number, which is Update.Value.
type File struct {
	cfg config.TrackFile
	log *slog.Logger
}

// NewFile takes Path from cfg.
func NewFile(cfg config.TrackFile, log *slog.Logger) *File {
	return &File{cfg: cfg, log: log}
}

// Name implements Checker.
func (f *File) Name() string { return FileName(f.cfg.Path) }

// Run implements Checker.
func (f *File) Run(ctx context.Context, report func(Update)) error {
	watch := watchFile(f.cfg.Path)
	defer watch.close()
	ticker := time.NewTicker(slowTick)
	defer ticker.Stop()

	var last Update
	watch.arm()
	for first := true; ; first = false {
		u := Update{Check: f.Name()}
		n, err := readNumber(f.cfg.Path)
		if err != nil {
			u.Detail = err.Error()
		} else {
			u.Up, u.Value, u.Detail = true, n, "number is "+strconv.Itoa(n)
		}
		if first || u != last {
			last = u
			u.At = time.Now()
			report(u)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watch.C:
		case <-ticker.C:
			watch.arm()
		}
	}
}

var errNoNumber = errors.New("does not hold a whole number")

func readNumber(path string) (int, error) {
	file, err := os.Open(path)
	if err == nil {
		defer func() { _ = file.Close() }()
		var b []byte
		if b, err = io.ReadAll(io.LimitReader(file, maxNumber)); err == nil {
			n, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				return 0, fmt.Errorf("file %w", errNoNumber)
			}
			return n, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0, errors.New("file does not exist")
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return 0, fmt.Errorf("read file: %w", err)
}
