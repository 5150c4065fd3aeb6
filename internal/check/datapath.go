// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"hafast/pkg/loader"
)

// steers reports whether there is to be a data path.
func (c *checker) steers() bool { return c.cfg.XDP != "off" }

// dataPath checks what steering, fencing and liveness stand on.
func (c *checker) dataPath() {
	if !c.steers() {
		return
	}
	c.xdpKernel()
	c.bpfDir()
	c.xdpDevices()
	c.steering()
	c.legs()
	c.witness()
}

// xdpKernel has the kernel take the program, as a start of the daemon would.
func (c *checker) xdpKernel() {
	if !c.capable(unix.CAP_BPF) && !c.capable(unix.CAP_SYS_ADMIN) {
		return // privileges has said so; the kernel would not answer
	}
	lacks, err := c.env.TryXDP()
	for _, lack := range lacks {
		c.warning("xdp", lack.String(), lack.Remedy)
	}
	if err == nil {
		return
	}
	p := Problem{
		Text: fmt.Sprintf("%v; without it this is a plain VRRP daemon, and connections do not outlive a move of their VIP", err),
		Mend: "report it, with the kernel's release, or set xdp: off",
	}
	if refused := (*loader.RefusedError)(nil); errors.As(err, &refused) {
		p.Mend, p.Detail = refused.Remedy, refused.Log
	}
	c.add("xdp", p)
}

// bpfDir checks where programs and maps outlive the daemon.
func (c *checker) bpfDir() {
	dir := c.cfg.BPFDir
	switch on, err := c.env.OnBPFFS(dir); {
	case err != nil:
		c.problem("bpf_dir", fmt.Sprintf("bpf_dir %s cannot be used: %v", dir, cause(err)), "write another, below "+loader.BPFFS)
	case on:
		c.privateBPFFS(dir)
	case !strings.HasPrefix(dir, loader.BPFFS+"/"):
		c.problem("bpf_dir", fmt.Sprintf("bpf_dir %s is not on a BPF file system", dir),
			fmt.Sprintf("write a directory below %s, or mount one there: mount -t bpf bpf DIRECTORY", loader.BPFFS))
	case !c.capable(unix.CAP_SYS_ADMIN):
		c.problem("bpf_dir", fmt.Sprintf("no BPF file system is mounted at %s, and without CAP_SYS_ADMIN hafast cannot mount it", loader.BPFFS),
			fmt.Sprintf("mount -t bpf bpf %s, at each boot", loader.BPFFS))
	default:
		c.privateBPFFS(dir)
	}
}

// privateBPFFS finds pins that the next daemon would not see.
func (c *checker) privateBPFFS(dir string) {
	if private, err := c.env.PrivateBPFFS(dir); err == nil && private {
		c.warning("bpf_dir", fmt.Sprintf("bpf_dir %s is in this mount namespace alone: the data path ends with it, and an upgrade takes nothing over", dir),
			fmt.Sprintf("mount the host's %s into the container, or take PrivateMounts= and the like out of the service", loader.BPFFS))
	}
}

// xdpDevices checks the interfaces that the program is to be attached to.
func (c *checker) xdpDevices() {
	links := c.links()
	var seen []string
	one := func(device, path string) {
		if _, ok := links[device]; ok && !slices.Contains(seen, device) {
			seen = append(seen, device)
			c.xdpDevice(device, path)
		}
	}
	for i := range c.cfg.Instances {
		inst := &c.cfg.Instances[i]
		one(inst.Interface, c.interfacePath(i))
		for j, vip := range inst.VIPs {
			one(vip.Interface, fmt.Sprintf("%s.vips[%d].interface", instancePath(i), j))
		}
	}
}

func (c *checker) xdpDevice(device, path string) {
	x, err := c.env.XDP(device, c.cfg.BPFDir)
	if err != nil {
		c.warning(path, fmt.Sprintf("whether %s can run XDP is not known: %v", device, err), "run hafast check as root on the host itself")
		return
	}
	if p := x.Program; p != nil && !p.Own {
		which, owned := "several XDP programs of somebody else", ""
		if p.ID != 0 {
			which = fmt.Sprintf("somebody else's XDP program, id %d", p.ID)
			if p.Name != "" {
				which += ", " + p.Name
			}
			if owner, remedy := loader.Owner(device, p.Name); owner != "" {
				which += " of " + owner
				owned = remedy + "; or "
			}
		}
		c.problem(path, fmt.Sprintf("interface %s runs %s, which hafast does not displace", device, which),
			owned+fmt.Sprintf("stop what has put it there, or take it off: ip link set dev %s xdp off; or set xdp: off", device))
	}
	likely, doubt := "", ""
	if len(x.Obstacles) > 0 {
		list := strings.Join(x.Obstacles, ", and since ")
		likely, doubt = ", likely since "+list, ", and it may refuse since "+list
	}
	switch {
	case x.Driver == "veth" && c.cfg.XDP == "native":
		c.warning(path, fmt.Sprintf("%s is a veth: native mode loses the checksums that senders on this machine leave to the wire, and what it sends on where the far end runs no program", device),
			"set xdp: auto, which takes the generic mode there")
	case x.Native == NativeNo && c.cfg.XDP == "native":
		c.problem(path, fmt.Sprintf("the driver of %s, %s, has no native XDP%s", device, x.Driver, likely), "set xdp: auto, or use an interface whose driver has it")
	case x.Native == NativeNo && c.cfg.XDP == "auto":
		c.warning(path, fmt.Sprintf("the driver of %s, %s, has no native XDP: packets go through the generic mode, which is slower%s", device, x.Driver, likely),
			"use an interface whose driver has it, or set xdp: generic")
	case x.Native == NativeUnknown && c.cfg.XDP == "native":
		c.warning(path, fmt.Sprintf("this kernel does not tell whether the driver of %s, %s, has native XDP (Linux 6.3 does)%s", device, x.Driver, doubt),
			"set xdp: auto, which takes the generic mode if it has not")
	case x.Native == NativeUnknown && c.cfg.XDP == "auto" && doubt != "":
		c.warning(path, fmt.Sprintf("whether the driver of %s, %s, has native XDP is not known%s: packets may go through the generic mode, which is slower", device, x.Driver, doubt),
			"change that, or set xdp: generic")
	}
}

// steering checks that there is a wire to each peer: flows are sent on as frames.
func (c *checker) steering() {
	own := c.own()
	for j, peer := range c.cfg.Peers {
		if _, ok := own[peer]; ok {
			continue // peers reports it
		}
		path := fmt.Sprintf("peers[%d]", j)
		switch on, err := c.env.OnLink(peer); {
		case err != nil:
			c.warning(path, fmt.Sprintf("whether peer %s is reached directly is not known: %v", peer, err), "run hafast check on the host itself")
		case !on:
			c.warning(path, fmt.Sprintf("peer %s is behind a gateway, or not reached at all: no flow can be steered to it", peer),
				"write an address of the peer in a network that this host is in too, or set xdp: off")
		}
	}
}

// legs asks a daemon that runs whether frames that it sends on arrive: before it runs nobody
// can know.
func (c *checker) legs() {
	if !c.running {
		return
	}
	legs, err := c.env.Legs(c.cfg.Control.Socket)
	if err != nil {
		c.warning("peers", fmt.Sprintf("whether the peers get what this host sends on is not known: %v", err), "see hafast status")
		return
	}
	for _, leg := range legs {
		if j := slices.Index(c.cfg.Peers, leg.Peer); leg.Reason != "" && j >= 0 {
			c.problem(fmt.Sprintf("peers[%d]", j), fmt.Sprintf("new flows do not go to %s: %s", leg.Peer, leg.Reason),
				"put the way right, and they go there by themselves; docs/OPERATIONS.md has what is known of each kind of wire")
		}
	}
}

// witness checks that the host that is asked by ARP can hear it.
func (c *checker) witness() {
	addr := c.cfg.Liveness.Witness.Addr
	if !addr.IsValid() {
		return
	}
	if on, err := c.env.OnLink(addr); err == nil && !on {
		c.warning("liveness.witness", fmt.Sprintf("witness %s is not in a network of this host: it cannot answer ARP", addr),
			"write a neighbour that is always there, such as the gateway, or witness: off")
	}
}

// own maps this host's addresses to their interfaces.
func (c *checker) own() map[netip.Addr]string {
	own := map[netip.Addr]string{}
	for _, l := range c.links() {
		for _, p := range l.Addrs {
			own[p.Addr()] = l.Name
		}
	}
	return own
}
