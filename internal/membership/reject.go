// SPDX-License-Identifier: Apache-2.0

package membership

import "fmt"

// Reject is the reason why a packet was not taken for a peer's hello. Its text is
// fit for a metric's label.
type Reject string

// Error makes a Reject an error.
func (r Reject) Error() string { return "hello rejected: " + string(r) }

// The reasons, in the order in which they are looked for.
const (
	RejectPeer      Reject = "peer"      // not from a configured peer
	RejectSize      Reject = "size"      // longer than MaxSize
	RejectForeign   Reject = "foreign"   // not a hello at all
	RejectVersion   Reject = "version"   // of a protocol that this version does not speak
	RejectTruncated Reject = "truncated" // ends early
	RejectTrailing  Reject = "trailing"  // goes on after its end
	RejectCount     Reject = "count"     // more of something than there can be
	RejectValue     Reject = "value"     // a field out of its range
	RejectText      Reject = "text"      // a text that is not printable UTF-8
	RejectOrder     Reject = "order"     // services out of order, or twice
	RejectOwn       Reject = "own"       // this host's own: a peer's address is ours
	RejectOld       Reject = "old"       // overtaken, repeated, or of an earlier start
)

// Rejects lists every reason, for those who keep a counter for each.
func Rejects() []Reject {
	return []Reject{
		RejectPeer, RejectSize, RejectForeign, RejectVersion, RejectTruncated, RejectTrailing,
		RejectCount, RejectValue, RejectText, RejectOrder, RejectOwn, RejectOld,
	}
}

// VersionError is RejectVersion with what is to be told of it.
type VersionError struct {
	// Version is the packet's protocol version.
	Version uint8
	// Software is the sender's, empty if it cannot be read.
	Software string
}

func (e *VersionError) Error() string {
	by := "hafast"
	if e.Software != "" {
		by += " " + e.Software
	}
	return fmt.Sprintf("protocol version %d of %s, this host speaks %d; run the same release of hafast on all hosts",
		e.Version, by, Version)
}

// Unwrap is RejectVersion.
func (e *VersionError) Unwrap() error { return RejectVersion }
