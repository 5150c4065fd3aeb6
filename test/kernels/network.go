// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"hafast/test/kernels/nics"
)

//go:embed guest/bridge.sh
var bridgeScript []byte

// bridgeScriptName is the script's in a run's work folder.
const bridgeScriptName = "bridge.sh"

// Network is a wire with virtio interfaces of a guest on it, and with nothing else.
type Network struct {
	// Name is what tests ask for: see package nics.
	Name string
	// NICs are how many interfaces there are.
	NICs int
	// Bridge makes the wire a bridge of the host's with a tap for each interface, in a
	// network namespace that ends with the guest. It needs root. Otherwise the wire is
	// qemu's own hub, which has one queue and neither checksum nor segmentation offload:
	// the interfaces come without them.
	Bridge bool
	// Queues are the pairs of queues of each interface, 0 for one. More than one need Bridge.
	Queues int
	// Properties are further ones of the virtio-net-pci devices, as qemu takes them.
	Properties string
}

// CanBridge returns nil where networks with Bridge work, and otherwise why they do not.
func CanBridge() error {
	if os.Geteuid() != 0 {
		return errors.New("taps and bridges need root")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("no taps: %w", err)
	}
	if _, err := exec.LookPath(hostProgram("ip")); err != nil {
		return err
	}
	return nil
}

// names says which interfaces the guest's kernel makes of the networks: it numbers them as
// they come.
func names(networks []Network) []nics.Network {
	var out []nics.Network
	next := 0
	for _, n := range networks {
		one := nics.Network{Name: n.Name}
		for range n.NICs {
			one.Interfaces = append(one.Interfaces, fmt.Sprintf("eth%d", next))
			next++
		}
		out = append(out, one)
	}
	return out
}

// bridged reports whether any of the networks needs a namespace for its bridge.
func bridged(networks []Network) bool {
	return slices.ContainsFunc(networks, func(n Network) bool { return n.Bridge })
}

// networkArguments are those with which qemu makes the interfaces. Script joins a tap to the
// bridge whose name the tap's begins with.
func networkArguments(networks []Network, script string) []string {
	var args []string
	total := 0
	for i, n := range networks {
		for k := range n.NICs {
			id := fmt.Sprintf("wire%d-%d", i, k)
			backend := fmt.Sprintf("hubport,id=%s,hubid=%d", id, i)
			device := fmt.Sprintf("virtio-net-pci,netdev=%s,mac=52:54:00:00:%02x:%02x", id, i, total+1)
			if n.Bridge {
				backend = fmt.Sprintf("tap,id=%s,ifname=%s,script=%s,downscript=no", id, id, strings.ReplaceAll(script, ",", ",,"))
			}
			if n.Queues > 1 {
				// An interrupt for each queue of either direction, for control and for the configuration.
				backend += fmt.Sprintf(",queues=%d", n.Queues)
				device += fmt.Sprintf(",mq=on,vectors=%d", 2*n.Queues+2)
			}
			if n.Properties != "" {
				device += "," + n.Properties
			}
			args = append(args, "-netdev", backend, "-device", device)
			total++
		}
	}
	return args
}
