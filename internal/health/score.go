// SPDX-License-Identifier: Apache-2.0

package health

import "fmt"

// Kind tells how a check enters the score.
type Kind int

const (
	// KindState is up or down.
	KindState Kind = iota
	// KindFile is a number out of a file.
	KindFile
)

// Check is one check as an instance sees it.
type Check struct {
	Name string
	Kind Kind
	Up   bool
	// Weight is how far the check moves the priority. 0 means that the check
	// decides whether the host is in service at all.
	Weight int
	// Value is a file's number.
	Value  int
	Detail string
}

// priorityOwner is the address owner's priority, which tracking does not move
// (RFC 9568 section 6.1, and keepalived's practice).
const priorityOwner = 255

// fileFault is the product of number and weight at and below which a file takes
// the host out of service, as in keepalived.
const fileFault = -254

// Score turns an instance's priority and its checks into the priority to
// advertise. The arithmetic is keepalived's:
//
//   - a positive weight is added while the check is up,
//   - a negative weight is added while it is down,
//   - a file adds its number times its weight, nothing while it is unreadable,
//   - the sum of all is clamped to 1..254; a base of 255 stays 255.
//
// outOfService is empty unless a check forbids the host to serve; it then names
// the first such check, as in "haproxy: killed by signal 9, pid 12", and
// effective is 0. These are a down check of weight 0, a file of weight 0 with a
// number other than 0, and a file whose product is -254 or less.
func Score(base uint8, checks []Check) (effective uint8, outOfService string) {
	sum := int(base)
	for _, c := range checks {
		delta, ok := c.delta()
		if !ok {
			return 0, c.Name + ": " + c.reason()
		}
		sum += delta
	}
	if base == priorityOwner {
		return base, ""
	}
	return uint8(min(max(sum, 1), 254)), ""
}

// delta is what the check adds to the priority; ok is false when it takes the
// host out of service.
func (c Check) delta() (delta int, ok bool) {
	if c.Kind == KindFile {
		switch {
		case c.Weight == 0:
			return 0, c.Up && c.Value == 0
		case !c.Up:
			return 0, true
		}
		delta = product(c.Value, c.Weight)
		return delta, delta > fileFault
	}
	switch {
	case c.Weight == 0:
		return 0, c.Up
	case c.Up:
		return max(c.Weight, 0), true
	default:
		return min(c.Weight, 0), true
	}
}

// product multiplies and clamps to what can matter, so that no number in a file
// overflows and one file cannot drown all other checks.
func product(value, weight int) int {
	const most = 254
	clamp := func(n int) int { return min(max(n, -most), most) }
	return clamp(clamp(value) * clamp(weight))
}

func (c Check) reason() string {
	switch {
	case c.Kind == KindFile && c.Up:
		return fmt.Sprintf("number is %d", c.Value)
	case c.Detail == "":
		return "down"
	}
	return c.Detail
}
