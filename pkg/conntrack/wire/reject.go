// SPDX-License-Identifier: Apache-2.0

package wire

// Reject is the reason why a datagram, or a part of one, was not used. Its text is fit
// for a metric's label.
type Reject string

// Error makes a Reject an error.
func (r Reject) Error() string { return "datagram rejected: " + string(r) }

// The reasons, in the order in which they are looked for. Only a datagram that is
// rejected for its body is known to come from somebody who has a key.
const (
	RejectShort    Reject = "short"    // too short for what it says it is
	RejectMagic    Reject = "magic"    // not a datagram of this channel
	RejectVersion  Reject = "version"  // of a format version that is not spoken here
	RejectHeader   Reject = "header"   // boot or counter out of range
	RejectUnsealed Reject = "unsealed" // not sealed, and this host has a key
	RejectSealed   Reject = "sealed"   // sealed, and this host has no key
	RejectKey      Reject = "key"      // sealed with a key that this host does not have
	RejectOwn      Reject = "own"      // this host's own, come back
	RejectOldBoot  Reject = "old_boot" // of an earlier start of the peer
	RejectReplay   Reject = "replay"   // come before, or overtaken by too many
	RejectLimit    Reject = "limit"    // of an unknown start, too many of which were tried in this second
	RejectAuth     Reject = "auth"     // forged or damaged
	RejectBody     Reject = "body"     // authentic, but not understood
)

// Rejects lists every reason, for those who keep a counter for each.
func Rejects() []Reject {
	return []Reject{
		RejectShort, RejectMagic, RejectVersion, RejectHeader, RejectUnsealed, RejectSealed, RejectKey, RejectOwn,
		RejectOldBoot, RejectReplay, RejectLimit, RejectAuth, RejectBody,
	}
}
