// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"hafast/internal/config"
	"hafast/internal/datapath"
	"hafast/internal/statesync"
	"hafast/pkg/conntrack/nfct"
)

// syncKeys reads the keys that a configuration names; none without state sync.
func syncKeys(cfg *config.Config) ([][]byte, error) {
	if !cfg.Sync.On() {
		return nil, nil
	}
	return config.ReadKeys(cfg.Sync.KeyFile)
}

// newBoot draws what tells this start of the daemon from others.
func newBoot() (uint64, error) {
	var b [8]byte
	for {
		if _, err := rand.Read(b[:]); err != nil {
			return 0, fmt.Errorf("draw boot id: %w", err)
		}
		if boot := binary.BigEndian.Uint64(b[:]); boot != 0 {
			return boot, nil
		}
	}
}

// openChannel opens what hellos and flow state travel by; path is nil without a data
// path. The keys are those of the configuration.
func openChannel(ctx context.Context, l *loop, boot uint64, keys [][]byte, path *datapath.Path, log *slog.Logger) (*statesync.Channel, error) {
	o := statesync.Options{
		Boot: boot, Keys: keys, Config: l.cfg.SharedHash(), Log: log,
		Ready: func(ready bool) { l.post(ctx, readinessChanged{ready}) },
	}
	if path != nil {
		o.Flows = path
	}
	if l.cfg.Sync.On() && l.cfg.Sync.Conntrack {
		o.Entries = &statesync.EntryOptions{Filter: l.entryFilter(), Liberal: liberal()}
	}
	return statesync.Open(o)
}

// entryFilter says which entries of the connection tracking table are replicated: none
// of connections with this host itself.
func (l *loop) entryFilter() nfct.Filter {
	f := nfct.DefaultFilter()
	f.SyncPort = statesync.Port
	f.Exclude = l.cfg.Ignored()
	for _, a := range l.ownAddresses() {
		if p, err := a.Prefix(a.BitLen()); err == nil {
			f.Exclude = append(f.Exclude, p)
		}
	}
	f.Unassured = l.cfg.Sync.Filter.Unassured()
	f.Protocols = nil
	for _, name := range l.cfg.Sync.Filter.Protocols {
		f.Protocols = append(f.Protocols, protocolNumbers[name])
	}
	var states []uint8
	for _, name := range l.cfg.Sync.Filter.TCPStates {
		states = append(states, tcpStates[name])
	}
	f.States = nfct.StatesOf(states...)
	return f
}

// protocolNumbers and tcpStates are the configuration's names.
var (
	protocolNumbers = map[string]uint8{
		"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "icmp": unix.IPPROTO_ICMP, "icmpv6": unix.IPPROTO_ICMPV6,
	}
	tcpStates = map[string]uint8{
		"syn_sent": nfct.TCPSynSent, "syn_recv": nfct.TCPSynRecv, "established": nfct.TCPEstablished,
		"fin_wait": nfct.TCPFinWait, "close_wait": nfct.TCPCloseWait, "last_ack": nfct.TCPLastAck,
		"time_wait": nfct.TCPTimeWait, "close": nfct.TCPClose,
	}
)

// liberal reports whether the kernel holds no connection to the window that it knows.
func liberal() bool {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

// startSync opens the channel of a host without a data path, and ties the host's to the
// loop.
func (h *host) startSync(ctx context.Context, l *loop) (err error) {
	if h.channel == nil && h.cfg.Sync.On() {
		boot, err := newBoot()
		if err != nil {
			return err
		}
		if h.channel, err = openChannel(ctx, l, boot, h.keys, nil, h.log); err != nil {
			return err
		}
	}
	if h.channel != nil {
		l.sync.channel = h.channel
		l.tellRoutes()
	}
	return nil
}

// abandonSync closes a channel that has never run, and is not the fleet's.
func (h *host) abandonSync() error {
	if h.channel == nil || h.fleet != nil {
		return nil
	}
	return h.channel.Close()
}
