// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"hafast/test/netns/lab"
)

// maxAdvertised is how many addresses an advert can list: the count is one byte
// (RFC 9568 section 5.2.5). The others move along without being listed.
const maxAdvertised = 255

// MaxVIPs is how many addresses there are for a Plan.
const MaxVIPs = 250 * 256

// rlimitRTTime is how long a real-time keepalived may compute without a pause before
// it is killed. The default of 10 ms is not enough for a promotion with 1000 VIPs, nor
// one second for the start with 255 instances beside other work.
const rlimitRTTime = 10 * time.Second

// Plan is what a pair is to carry.
type Plan struct {
	Instances []Instance
	// Interval between the adverts of each instance.
	Interval time.Duration
}

// Instance is a virtual router of a Plan.
type Instance struct {
	VRID uint8
	VIPs []netip.Addr
}

// OneInstance is a single virtual router with so many VIPs.
func OneInstance(vips int, interval time.Duration) Plan {
	in := Instance{VRID: 51}
	for i := range vips {
		in.VIPs = append(in.VIPs, vip(i))
	}
	return Plan{Instances: []Instance{in}, Interval: interval}
}

// ManyInstances is so many virtual routers, at most 255, with a VIP each.
func ManyInstances(n int, interval time.Duration) Plan {
	p := Plan{Interval: interval}
	for i := range n {
		p.Instances = append(p.Instances, Instance{VRID: uint8(i + 1), VIPs: []netip.Addr{vip(i)}})
	}
	return p
}

// VIPs are the addresses of all instances.
func (p Plan) VIPs() []netip.Addr {
	var all []netip.Addr
	for _, in := range p.Instances {
		all = append(all, in.VIPs...)
	}
	return all
}

// vip is the i-th address: the lab's VIP, which the lab looks at, and then
// those of a network that nobody else in the lab uses.
func vip(i int) netip.Addr {
	if i == 0 {
		return lab.VIP
	}
	return netip.AddrFrom4([4]byte{10, 225, byte(i / 250), byte(1 + i%250)})
}

// site is what a configuration says of the host it is for.
type site struct {
	Node, Peer string
	Priority   int
	// PIDFile is haproxy's.
	PIDFile string
	// Script is keepalived's check for haproxy.
	Script string
	// State is what keepalived starts as.
	State string
	// Socket, StateDir and BPFDir are hafast's.
	Socket, StateDir, BPFDir string
}

// hafastConfig writes the plan for hafast: as in the lab, but for the instances.
func (p Plan) hafastConfig(s site) string {
	var b strings.Builder
	fmt.Fprintf(&b, "node: %s\ninterface: %s\npeers: [%s]\ninstances:\n", s.Node, lab.Interface, s.Peer)
	for _, in := range p.Instances {
		fmt.Fprintf(&b, "  - name: VI_%d\n    vrid: %d\n    priority: %d\n    advert_interval: %s\n    vips: [%s]\n",
			in.VRID, in.VRID, s.Priority, p.Interval, join(in.VIPs, ", "))
	}
	fmt.Fprintf(&b, "haproxy:\n  pidfile: %s\n", s.PIDFile)
	fmt.Fprintf(&b, "metrics: {listen: \"127.0.0.1:9405\"}\ncontrol: {socket: %s}\nstate_dir: %s\nbpf_dir: %s\n", s.Socket, s.StateDir, s.BPFDir)
	return b.String()
}

// keepalivedConfig writes the plan for keepalived, tuned as in the lab, with more
// room to compute.
func (p Plan) keepalivedConfig(s site) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n\tscript_user root\n\tvrrp_version 3\n\tvrrp_rt_priority 50\n\tvrrp_rlimit_rttime %d\n}\n", rlimitRTTime.Microseconds())
	fmt.Fprintf(&b, "vrrp_script chk_haproxy {\n\tscript \"%s\"\n\tinterval 1\n\tweight 2\n}\n", s.Script)
	for _, in := range p.Instances {
		listed := in.VIPs[:min(len(in.VIPs), maxAdvertised)]
		fmt.Fprintf(&b, "vrrp_instance VI_%d {\n\tinterface %s\n\tstate %s\n\tvirtual_router_id %d\n\tpriority %d\n\tadvert_int %g\n",
			in.VRID, lab.Interface, s.State, in.VRID, s.Priority, p.Interval.Seconds())
		fmt.Fprintf(&b, "\tvirtual_ipaddress {\n\t\t%s\n\t}\n", join(listed, "\n\t\t"))
		if rest := in.VIPs[len(listed):]; len(rest) > 0 {
			fmt.Fprintf(&b, "\tvirtual_ipaddress_excluded {\n\t\t%s\n\t}\n", join(rest, "\n\t\t"))
		}
		fmt.Fprintf(&b, "\ttrack_script {\n\t\tchk_haproxy\n\t}\n}\n")
	}
	return b.String()
}

func join(addrs []netip.Addr, separator string) string {
	text := make([]string, len(addrs))
	for i, a := range addrs {
		text[i] = a.String()
	}
	return strings.Join(text, separator)
}
