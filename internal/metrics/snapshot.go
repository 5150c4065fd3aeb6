// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"sync/atomic"
)

// snapshot is where a collector gets a T at each scrape, once somebody has said where.
type snapshot[T any] struct {
	from atomic.Pointer[func(context.Context) (T, error)]
}

// watch has read called at each scrape from now on; nil ends it.
func (s *snapshot[T]) watch(read func(context.Context) (T, error)) {
	if read == nil {
		s.from.Store(nil)
		return
	}
	s.from.Store(&read)
}

// take reads a snapshot; ok is false where there is nobody to ask.
func (s *snapshot[T]) take() (t T, ok bool, err error) {
	read := s.from.Load()
	if read == nil {
		return t, false, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	t, err = (*read)(ctx)
	return t, true, err
}
