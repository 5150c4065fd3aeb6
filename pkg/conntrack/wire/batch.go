// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// maxNumber is never the number of a batch.
const maxNumber = math.MaxUint64

// Batch is a part of the stream. Its groups can be sent again under another epoch and
// number.
type Batch struct {
	Epoch  uint32
	Number uint64 // from 1 in each epoch
	// Groups is what a BatchWriter has written, for DecodeGroups to read.
	Groups []byte
}

// BatchSize returns how many bytes of a body a Batch with these groups takes.
func BatchSize(groups []byte) int { return PartHeaderSize + BatchHeaderSize + len(groups) }

// AppendBatch appends a Batch as a part: Epoch (4), Number (8), Groups. The groups are a
// BatchWriter's, which keeps them within what a part can hold.
func AppendBatch(dst []byte, b Batch) []byte {
	dst = appendPartHeader(dst, PartBatch, BatchHeaderSize+len(b.Groups))
	dst = binary.BigEndian.AppendUint32(dst, b.Epoch)
	dst = binary.BigEndian.AppendUint64(dst, b.Number)
	return append(dst, b.Groups...)
}

// DecodeBatch reads a batch's header. Groups is a part of content, and is not looked
// at: see DecodeGroups. The error wraps RejectBody.
func DecodeBatch(content []byte) (Batch, error) {
	if len(content) < BatchHeaderSize {
		return Batch{}, fmt.Errorf("batch of %d bytes: %w", len(content), RejectBody)
	}
	b := Batch{
		Epoch:  binary.BigEndian.Uint32(content),
		Number: binary.BigEndian.Uint64(content[4:]),
		Groups: content[BatchHeaderSize:],
	}
	if b.Number == 0 || b.Number == maxNumber {
		return Batch{}, fmt.Errorf("batch number %d: %w", b.Number, RejectBody)
	}
	return b, nil
}
