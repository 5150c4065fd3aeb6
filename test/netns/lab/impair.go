// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Impairment is what happens to frames on the sync link, each on its own.
type Impairment struct {
	// Loss is the share of frames that never arrive, 0 to 1.
	Loss float64
	// Late is the share that arrives late by up to Delay, and so behind frames that were
	// sent after it.
	Late  float64
	Delay time.Duration
	// Seed makes the fates of the first frame, the second and so on the same each time.
	Seed uint64
}

// fate is drop, or how long a frame is held back.
func (i Impairment) fate(random *rand.Rand) (drop bool, hold time.Duration) {
	switch lot := random.Float64(); {
	case lot < i.Loss:
		return true, 0
	case lot < i.Loss+i.Late:
		return false, time.Duration(random.Int64N(int64(i.Delay)) + 1)
	default:
		return false, 0
	}
}

// Impair takes the sync link off its bridge and carries the frames itself, some of
// them late and some never, until the lab is closed. It is done in this process because
// the kernels of the lab have no queueing discipline that holds back single packets
// (netem, fq, plug); the link's latency becomes that of a process that is woken twice.
func (r *Routers) Impair(i Impairment) error {
	a, b := r.Pair()
	var ends [2]*packet.Conn
	err := r.sw.do(func() error {
		for n, h := range []*Host{a, b} {
			port, err := netlink.LinkByName(h.Name + "-" + syncBridge)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetNoMaster(port); err != nil {
				return err
			}
			ifi, err := net.InterfaceByIndex(port.Attrs().Index)
			if err != nil {
				return err
			}
			if ends[n], err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("impair the sync link: %w", err)
	}
	var carriers sync.WaitGroup
	cut := func() bool { return a.dead.Load() || b.dead.Load() }
	carriers.Go(func() { i.carry(ends[0], ends[1], cut, 0) })
	carriers.Go(func() { i.carry(ends[1], ends[0], cut, 1) })
	r.onClose(func() error {
		err := errors.Join(ends[0].Close(), ends[1].Close())
		carriers.Wait()
		return err
	})
	return nil
}

// carry takes frames from one end to the other, unless the link is cut, until one of them
// is closed.
func (i Impairment) carry(from, to *packet.Conn, cut func() bool, direction uint64) {
	random := rand.New(rand.NewPCG(i.Seed, direction))
	buf := make([]byte, 1<<16)
	for {
		n, _, err := from.ReadFrom(buf)
		if err != nil {
			return
		}
		drop, hold := i.fate(random)
		if drop || cut() || n < ethernetHeader {
			continue
		}
		frame := slices.Clone(buf[:n])
		// What the other end cannot take is lost, as on any link.
		send := func() { _, _ = to.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:hardwareAddress]}) }
		if hold > 0 {
			time.AfterFunc(hold, send)
			continue
		}
		send()
	}
}

// Lengths of Ethernet's header, and of the destination that it begins with.
const (
	ethernetHeader  = 14
	hardwareAddress = 6
)
