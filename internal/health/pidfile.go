// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// maxPidfile bounds what is read of a pidfile, in bytes.
const maxPidfile = 16 << 10

var (
	errPidfileEmpty = errors.New("empty")
	errPidfileText  = errors.New("not a list of process ids")
)

// ReadPidfile returns the pids in the file, one per line as haproxy's daemon
// mode with several processes wrote them.
func ReadPidfile(path string) ([]int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxPidfile))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(b))
	if len(fields) == 0 {
		return nil, errPidfileEmpty
	}
	pids := make([]int, 0, len(fields))
	for _, s := range fields {
		pid, err := strconv.Atoi(s)
		if err != nil || pid <= 0 {
			return nil, errPidfileText
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// pidfileReason puts an error of ReadPidfile into words.
func pidfileReason(path string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("pidfile %s does not exist", path)
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Sprintf("pidfile %s: %v", path, err)
}
