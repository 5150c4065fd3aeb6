// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"

	"hafast/internal/control"
	"hafast/internal/ownership"
	"hafast/pkg/loader"
)

// startFleet brings the data path up. Without one hafast is a plain VRRP daemon, and
// says why: that is better than no daemon. The error is what keeps it from being even that.
func (h *host) startFleet(ctx context.Context, l *loop) error {
	if h.cfg.XDP == "off" {
		h.noFleet = control.XDP{Mode: control.ModeOff, Reason: "xdp: off in the configuration"}
		return h.dropPredecessor()
	}
	err := h.joinFleet(ctx, l)
	if errors.Is(err, loader.ErrLayout) {
		h.log.Warn("the predecessor's data path is replaced, and its flows are forgotten: it cannot be taken over", "error", err)
		if err := h.dropPredecessor(); err != nil {
			return err
		}
		err = h.joinFleet(ctx, l)
	}
	if err == nil {
		return nil
	}
	h.fallBack(err)
	return h.dropPredecessor()
}

// fallBack says everywhere that this is a plain VRRP daemon, which it was not meant to be.
func (h *host) fallBack(err error) {
	h.noFleet = control.XDP{Mode: control.ModeOff, Reason: err.Error(), Fallback: true, Remedy: loader.Remedy(err)}
	h.metrics.XDPFallback(true)
	h.log.Warn("no data path: this is a plain VRRP daemon, and connections do not outlive a move of their VIP",
		"reason", h.noFleet.Reason, "remedy", h.noFleet.Remedy)
}

// warnOfHost says what the data path has to do without on this host.
func (h *host) warnOfHost(lacks []loader.Lack) {
	for _, lack := range lacks {
		h.log.Warn(lack.String(), "remedy", lack.Remedy)
	}
	if private, err := loader.PrivateBPFFS(h.cfg.BPFDir); err == nil && private {
		h.log.Warn("bpf_dir is in this daemon's mount namespace alone: a successor in another one finds nothing to take over, "+
			"and the data path ends with the container or service", "bpf_dir", h.cfg.BPFDir,
			"remedy", "mount the host's "+loader.BPFFS+" into the container, or take PrivateMounts= and the like out of the service")
	}
}

// joinFleet opens the data path and has it take over from a predecessor. If it fails,
// what is pinned is still there.
func (h *host) joinFleet(ctx context.Context, l *loop) error {
	a, err := openFleet(ctx, l, h.keys, h.log)
	if err != nil {
		return err
	}
	f := a.fleet(h.cfg.Peers)
	resume := make(map[string]bool)
	// Long enough for all that comes before the first renewal.
	if lapsed := a.path.Renew(handoffLease); lapsed == 0 {
		for _, in := range l.instances {
			if a.path.Resumable(in.VIPs[0].Prefix.Addr()) {
				resume[in.Name] = true
			}
		}
	}
	if err := a.path.Prepare(l.desired(f, l.self(f)), func(name string) bool { return resume[name] }); err != nil {
		return errors.Join(err, a.abandon(true))
	}
	h.fleet, h.channel, l.fleet, l.resume = a, a.channel, f, resume
	l.lookAround()
	h.warnOfHost(a.path.Lacks())
	return nil
}

// dropPredecessor takes down a data path that nobody would renew the lease of: its gate
// would keep this host's VIPs from being answered for. What was left on the interfaces
// goes first: without the gate the kernel would answer for it, beside the host that is
// Active now.
func (h *host) dropPredecessor() error {
	owner := ownership.New(h.deps)
	if err := owner.Prepare(ownedBy(h.cfg)); err != nil {
		return errors.Join(fmt.Errorf("prepare the host: %w", err), owner.Withdraw())
	}
	if err := loader.RemovePinned(h.cfg.BPFDir); err != nil && !errors.Is(err, loader.ErrBusy) {
		h.log.Error("a predecessor's data path is still there; hafast cleanup takes it down", "error", err)
	}
	return nil
}

// abandonFleet takes a data path down that has never run.
func (h *host) abandonFleet() error {
	if h.fleet == nil {
		return nil
	}
	return h.fleet.abandon(false)
}

// closeFleet takes the data path down, or leaves it for a successor.
func (h *host) closeFleet(keep bool) error {
	if h.fleet == nil {
		return nil
	}
	return h.fleet.closeAll(keep)
}
