// SPDX-License-Identifier: Apache-2.0

package vrrp

// Reject is the reason why an advertisement was not used. Its text is fit for
// a metric's label.
type Reject string

// Error makes a Reject an error.
func (r Reject) Error() string { return "advertisement rejected: " + string(r) }

// The reasons of RFC 9568 section 7.1, and our own. None of these touches a timer.
const (
	RejectTTL          Reject = "ttl"           // TTL or hop limit is not 255
	RejectVersion      Reject = "version"       // neither 2 nor 3, or not the instance's
	RejectType         Reject = "type"          // not an advertisement
	RejectTruncated    Reject = "truncated"     // shorter than its own address list
	RejectChecksum     Reject = "checksum"      // wrong sum
	RejectUnknownVRID  Reject = "unknown_vrid"  // no instance here has this VRID
	RejectCount        Reject = "count"         // no address listed
	RejectInterval     Reject = "interval"      // zero, or in version 2 unlike ours
	RejectFirstAddress Reject = "first_address" // IPv6: the first is not link-local
	RejectAuth         Reject = "auth"          // version 2: unlike our password
	RejectOwn          Reject = "own"           // sent by ourselves
	RejectPeer         Reject = "peer"          // unicast: not from a configured peer
	RejectPeerDown     Reject = "peer_down"     // the sender's liveness session is down
)

// Rejects lists every reason, for those who keep a counter for each.
func Rejects() []Reject {
	return []Reject{
		RejectTTL, RejectVersion, RejectType, RejectTruncated, RejectChecksum, RejectUnknownVRID,
		RejectCount, RejectInterval, RejectFirstAddress, RejectAuth, RejectOwn, RejectPeer, RejectPeerDown,
	}
}
