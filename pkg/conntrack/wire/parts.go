// SPDX-License-Identifier: Apache-2.0

package wire

import "hafast/pkg/conntrack/record"

// Op says what has become of a record.
type Op uint8

// The values are those on the wire.
const (
	Set    Op = 1 // it is so now
	Delete Op = 2 // it is no more; only its key counts
	Audit  Op = 3 // it should have been so already: see Begin
)

// Table names one of the replicated tables.
type Table uint8

// The values are those on the wire.
const (
	Flows   Table = 1 // of the XDP program
	Entries Table = 2 // the kernel's connection tracking
)

// Ack tells how far the sender has received the other's stream.
type Ack struct {
	Epoch uint32
	// Next is the lowest number that has not arrived.
	Next uint64
	// Missing are the gaps above Next that are worth sending again, Next's among them: at
	// most MaxRanges, in ascending order and apart. What lies between two of them has
	// arrived; about what lies above the last one nothing is said.
	Missing []Range
}

// Range is a run of numbers, both ends included.
type Range struct{ From, To uint64 }

// Tip tells what has been sent, so that the loss of the last batch is noticed.
type Tip struct {
	Epoch uint32
	Last  uint64 // number of the last batch; 0 if there was none
}

// Greeting says what its sender can do and wants. It is in each datagram that has a
// hello.
type Greeting struct {
	// Lowest and Highest are the versions of parts and records that it understands. What
	// is sent is in the lower of both hosts' Highest.
	Lowest, Highest uint8
	// Config is a hash of what must be alike in both hosts' configurations.
	Config uint64
	// Tables that it replicates, a bit each: 1 << Table.
	Tables uint8
	// Want is the lowest epoch of the receiver's stream that will do: one above the last
	// asks for a resync.
	Want uint32
}

// Handler takes in what a batch says, in its order. It is called with values that it
// may keep. The entries of a group share their memory: who keeps one keeps them all.
type Handler interface {
	Flow(Op, record.Flow)
	Entry(Op, *record.Entry)
	Begin(Begin)
	End(End)
}

// Begin opens a walk over all of a table, for a resync or an audit. What its sender
// has is told between Begin and End, mixed with news. At End the receiver drops what
// it holds of Scope and was not told.
type Begin struct {
	Table      Table
	Generation uint32
	// Scope are the VIPs of which the sender is Active, MaxScope at most. Entries are of
	// no VIP: there it reports whether the sender is Active at all.
	Scope []record.Address
}

// End closes a walk.
type End struct {
	Table      Table
	Generation uint32
	Count      uint64 // records told since Begin
}
