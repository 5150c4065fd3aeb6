// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"context"

	"hafast/pkg/conntrack/record"
)

// dump calls each for all entries that the filter wants.
func dump(ctx context.Context, filter Filter, each func(*record.Entry)) error {
	w, err := NewWalk(filter)
	if err != nil {
		return err
	}
	defer w.Close()
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more, err = w.Next(each); err != nil {
			return err
		}
	}
	return nil
}
