// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/netip"

	"hafast/pkg/loader"
)

// Env is the host as the rules see it.
type Env interface {
	Network
	Kernel
	Files
	DataPath
}

// Network is what the host is connected to.
type Network interface {
	// Links lists all interfaces with their addresses.
	Links() ([]Link, error)
	// Answers returns nil if someone accepts connections on a unix socket.
	Answers(socket string) error
	// CanListen returns nil if a TCP server could listen on an address and port.
	CanListen(address string) error
	// CanReceive returns nil if a UDP port could be opened on all addresses.
	CanReceive(port uint16) error
}

// Link is a network interface.
type Link struct {
	Name string
	// Up is the administrator's will, Carrier whether the other end is there.
	Up, Carrier bool
	// MTU in bytes.
	MTU int
	// Addrs are the interface's addresses with their prefix lengths.
	Addrs []netip.Prefix
}

// Kernel is what the kernel can and what it lets us do.
type Kernel interface {
	// Release is the kernel's, such as 6.1.0-18-amd64.
	Release() (string, error)
	// Sysctl reads a value by its path below /proc/sys.
	Sysctl(path string) (string, error)
	// Capable reports whether this process has a capability (capabilities(7)).
	Capable(capability int) (bool, error)
	// PIDFD returns nil where pidfd_open(2) works (Linux 5.3).
	PIDFD() error
	// Conntrack reports whether the connection tracking table is there to be read and
	// written by netlink. An error means that the kernel could not be asked.
	Conntrack() (bool, error)
}

// Files is the rest: files, users and processes.
type Files interface {
	// Read returns a file's content.
	Read(path string) ([]byte, error)
	// Executable returns nil if a command line can be split and its program be run.
	Executable(line string) error
	// User returns nil if commands can be run as that user or user:group.
	User(name string) error
	// Writable returns nil if files can be made in a directory, or the directory itself.
	Writable(dir string) error
	// Key returns nil if a file holds usable sync keys.
	Key(path string) error
	// Processes maps process ids to the names in /proc/PID/comm.
	Processes() (map[int]string, error)
}

// DataPath is what the XDP program needs.
type DataPath interface {
	// TryXDP loads the XDP program, runs and attaches it where it meets nobody's
	// packets, and leaves nothing behind. It returns what the kernel lacks and the
	// program does without, and what keeps the program from being used at all.
	TryXDP() ([]loader.Lack, error)
	// OnBPFFS reports whether a directory, or the nearest above it that exists, is
	// on a BPF file system.
	OnBPFFS(dir string) (bool, error)
	// PrivateBPFFS reports whether pins in a directory end with this process's
	// mount namespace.
	PrivateBPFFS(dir string) (bool, error)
	// XDP tells how an interface stands to XDP. What is pinned below bpfDir is
	// hafast's own.
	XDP(device, bpfDir string) (XDP, error)
	// OnLink reports whether an address is reached without a gateway.
	OnLink(addr netip.Addr) (bool, error)
	// Legs asks the daemon at a control socket whether what it sends on reaches its peers.
	Legs(socket string) ([]Leg, error)
}

// Leg is the way of flows that this host sends on to a peer whose haproxy is up.
type Leg struct {
	Peer netip.Addr
	// Reason says why it is not proved; empty if it is.
	Reason string
}

// XDP is how an interface stands to XDP.
type XDP struct {
	// Driver is the name of the interface's driver.
	Driver string
	// Native reports whether the driver runs XDP itself.
	Native Native
	// Obstacles are what drivers commonly refuse native XDP for and this interface
	// has, each with its remedy.
	Obstacles []string
	// Program is what runs there now; nil if nothing does.
	Program *Program
}

// Native reports whether a driver runs XDP itself, without the slower generic mode.
type Native int

// The kernel tells since 6.3.
const (
	NativeUnknown Native = iota
	NativeYes
	NativeNo
)

// Program is an XDP program on an interface.
type Program struct {
	// ID is the kernel's number, 0 where several programs run.
	ID uint32
	// Name may be empty.
	Name string
	// Own tells that hafast has put it there.
	Own bool
}
