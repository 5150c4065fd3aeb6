package liveness

// Reject is the reason why a BFD control packet was not used. Its text is fit for
// a metric's label.
type Reject string

// Error makes a Reject an error.
func (r Reject) Error() string { return "bfd control packet rejected: " + string(r) }

// The reasons of RFC 5880 section 6.8.6, in the order in which they are looked for.
const (
	RejectTruncated     Reject = "truncated"     // shorter than the mandatory section
	RejectVersion       Reject = "version"       // not 1
	RejectLength        Reject = "length"        // less than the mandatory section, or more than there is
	RejectMultiplier    Reject = "multiplier"    // zero
	RejectMultipoint    Reject = "multipoint"    // the M bit is set
	RejectDiscriminator Reject = "discriminator" // My Discriminator is zero
	RejectAuth          Reject = "auth"          // the A bit is set: authentication is not used
)

// Rejects lists every reason, for those who keep a counter for each.
func Rejects() []Reject {
	return []Reject{
		RejectTruncated, RejectVersion, RejectLength, RejectMultiplier, RejectMultipoint, RejectDiscriminator, RejectAuth,
	}
}
