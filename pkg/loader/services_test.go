// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// lookUp finds a service as the program does: free places end the search.
func lookUp[S any](table *[serviceSlots]S, home int, is func(*S) bool, free func(*S) bool) bool {
	for i := range serviceProbes {
		switch slot := &table[(home+i)%serviceSlots]; {
		case free(slot):
			return false
		case is(slot):
			return true
		}
	}
	return false
}

// TestManyServicesFindTheirPlaces fills both tables by half, which is as full as
// package steering makes them, and finds every service again.
func TestManyServicesFindTheirPlaces(t *testing.T) {
	const each = serviceSlots / 2
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		var services []Service
		seen := make(map[Service]bool)
		for len(services) < 2*each {
			var vip netip.Addr
			if len(services) < each {
				vip = netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(4)), byte(random.IntN(256))})
			} else {
				vip = netip.AddrFrom16([16]byte{0xfd, 15: byte(random.IntN(256))})
			}
			s := Service{VIP: vip, Port: uint16(1 + random.IntN(2000)), Proto: TCP, Set: NoSet}
			if !seen[s] {
				seen[s] = true
				s.ID = uint16(len(services))
				services = append(services, s)
			}
		}
		p := new(packer)
		if err := p.pack(Steering{Services: services}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, s := range services {
			home := int(ServiceHash(s.VIP, s.Port, s.Proto))
			found := s.VIP.Is4() && lookUp(&p.bank.Service4, home,
				func(a *bpfService4) bool { return a.Vip == word4(s.VIP) && a.Port == swap16(s.Port) && a.Id == s.ID },
				func(a *bpfService4) bool { return a.Proto == 0 }) ||
				s.VIP.Is6() && lookUp(&p.bank.Service6, home,
					func(a *bpfService6) bool { return a.Vip == words6(s.VIP) && a.Port == swap16(s.Port) && a.Id == s.ID },
					func(a *bpfService6) bool { return a.Proto == 0 })
			if !found {
				t.Fatalf("seed %d: %v is not found", seed, s)
			}
		}
	}
}
