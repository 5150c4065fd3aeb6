// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"log/slog"
	"net"
	"net/netip"
	"time"

	"hafast/internal/announce"
	"hafast/internal/config"
	"hafast/internal/link"
)

// Addresses reads interfaces and changes their addresses; *link.Conn does.
type Addresses interface {
	State(iface string) (link.State, error)
	AddAddresses(iface string, addrs []link.Address) (link.Outcome, error)
	RemoveAddresses(iface string, addrs []link.Address) (link.Outcome, error)
}

// Routes adds and removes routes; *link.Conn does.
type Routes interface {
	AddRoutes(routes []config.Route) error
	RemoveRoutes(routes []config.Route) error
}

// Macvlans makes the devices that carry virtual MACs; *link.Conn does.
type Macvlans interface {
	EnsureMacvlan(parent, name string, mac net.HardwareAddr) error
	RemoveMacvlan(name string) error
}

// Sysctls makes kernel settings and puts them back; *link.Sysctls does.
type Sysctls interface {
	Apply(settings []link.Setting) error
	Restore() error
}

// Guard drops what arrives for addresses; *link.Guard does.
type Guard interface {
	Set(addrs []netip.Addr) error
}

// Connections are known to this host by what the Active before it has told.
type Connections interface {
	// Settle returns when all that was told of these VIPs' connections is in place, or has
	// taken too long.
	Settle(vips []netip.Addr)
}

// Gate lets requests for the hardware address of an instance's VIPs through to this
// host's stack, or keeps them from it. Both take effect before they return.
type Gate interface {
	OpenGate(instance string)
	CloseGate(instance string)
}

// Announcer tells the neighbours; *announce.Sender does.
type Announcer interface {
	Announce(to announce.Interface, addrs []netip.Addr) (int, error)
}

// Deps is what an Owner works with. All but Guard, Connections and Gate are required.
type Deps struct {
	Addresses Addresses
	Routes    Routes
	Macvlans  Macvlans
	Sysctls   Sysctls
	// Guard may be nil, on a kernel without nftables; an instance whose Accept
	// is false is then an error.
	Guard Guard
	// Connections may be nil, where nothing is told of them.
	Connections Connections
	// Gate may be nil, where there is no data path.
	Gate      Gate
	Announcer Announcer
	Log       *slog.Logger
	// Now is the clock, usually time.Now.
	Now func() time.Time
}
