// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// errNoPSS is returned for a memory map that does not say what is wanted of it.
var errNoPSS = errors.New("no Pss")

// PSS is the memory of the process's group in bytes, as far as its processes still run:
// a page that several processes of the machine have is shared out among them.
func (p *Proc) PSS() (uint64, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			// It ended after it was listed.
			continue
		}
		group, _, err := parseProcStat(string(b))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		if group != p.PID() {
			continue
		}
		rollup, err := os.ReadFile(filepath.Join(filepath.Dir(path), "smaps_rollup"))
		if err != nil {
			continue
		}
		pss, err := parsePSS(rollup)
		if err != nil {
			return 0, fmt.Errorf("memory of %s: %w", p.Name, err)
		}
		sum += pss
	}
	return sum, nil
}

// parsePSS reads /proc/PID/smaps_rollup.
func parsePSS(rollup []byte) (uint64, error) {
	for lines := bufio.NewScanner(bytes.NewReader(rollup)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "Pss:" && fields[2] == "kB" {
			kib, err := strconv.ParseUint(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errNoPSS
}
