// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"fmt"
	"net/netip"
	"time"

	"hafast/internal/membership"
)

// A Channel is what hellos travel by.
var _ membership.Carrier = (*Channel)(nil)

// Send sends a hello to a peer, by the address that it is configured with.
func (c *Channel) Send(hello []byte, to netip.Addr) error {
	c.adopt() // it may be a new peer
	c.mu.Lock()
	defer c.mu.Unlock()
	way, ok := c.ways[plain(to)]
	if !ok {
		return fmt.Errorf("send hello to %s: no such peer", to)
	}
	if err := c.engine.SetHello(hello); err != nil {
		return err
	}
	c.engine.SendHello(time.Now(), way)
	c.step()
	return c.unsent[way]
}
