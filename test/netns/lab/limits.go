// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"strconv"
)

// RaiseConntrackLimit lets every network namespace of the machine, and so every host,
// have n connections in its table, in as many buckets. These sysctls are the only ones
// of the machine itself that the labs touch; restore puts them back.
func RaiseConntrackLimit(n int) (restore func() error, err error) {
	var undo []func() error
	restore = func() error {
		var errs []error
		for _, f := range undo {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	for _, key := range []string{"net.netfilter.nf_conntrack_buckets", "net.netfilter.nf_conntrack_max"} {
		old, err := readSysctl(key)
		if err != nil {
			return nil, errors.Join(err, restore())
		}
		have, err := strconv.Atoi(old)
		if err == nil && have < n {
			err = writeSysctl(key, strconv.Itoa(n))
			undo = append(undo, func() error { return writeSysctl(key, old) })
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("raise %s to %d: %w", key, n, err), restore())
		}
	}
	return restore, nil
}
