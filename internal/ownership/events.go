// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"time"
)

// Event is what Run reports: Acquired, Released, Failed, Mended, Removed or
// Contested.
type Event interface{ event() }

// Phases is how long the steps of an Acquire took.
type Phases struct {
	// State is until what is known of the VIPs' connections was in place; zero where
	// nothing is told of them.
	State time.Duration
	// Gate is until requests for the VIPs get through; zero where there is no gate.
	Gate time.Duration
	// Address is until the last address was on its interface.
	Address time.Duration
	// Routes is zero for an instance without routes.
	Routes time.Duration
	// Announce is until the first announcement of the last address was sent.
	Announce time.Duration
	// Total counts from the time that was given to Acquire.
	Total time.Duration
}

// Acquired says that the VIPs are in place and announced.
type Acquired struct {
	Name   string
	Phases Phases
	// Addresses is how many VIPs were announced.
	Addresses int
}

// Released says that the VIPs are off the interface.
type Released struct {
	Name     string
	Duration time.Duration
}

// Failed says that an Acquire or Release is incomplete. It is tried again after
// Retry.
type Failed struct {
	Name string
	// Op is "acquire" or "release".
	Op  string
	Err error
	// InPlace are the VIPs that are on the interface and announced all the same.
	InPlace []netip.Addr
	Retry   time.Duration
}

// Mended says that VIPs that somebody had removed are back.
type Mended struct {
	Name, Interface string
	Addrs           []netip.Addr
}

// Removed says that VIPs that somebody had added to an interface, though this
// host is not Active, are off it again.
type Removed struct {
	Name, Interface string
	Addrs           []netip.Addr
}

// Contested says that somebody changes a VIP again and again. It is corrected
// at a limited rate for as long as that lasts.
type Contested struct {
	Name, Interface string
	Addr            netip.Addr
}

func (Acquired) event()  {}
func (Released) event()  {}
func (Failed) event()    {}
func (Mended) event()    {}
func (Removed) event()   {}
func (Contested) event() {}
