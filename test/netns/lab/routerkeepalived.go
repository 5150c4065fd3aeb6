// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// RouterKeepalived runs keepalived on a pair of routers, and conntrackd beside it
// where Mode is set: keepalived tells it when to commit what the peer has told.
type RouterKeepalived struct {
	// Mode is conntrackd's: FTFW or NOTRACK; "" runs none.
	Mode string
	// Direct has conntrackd put what it hears into the kernel's table at once
	// (DisableExternalCache), instead of keeping it until it is committed.
	Direct bool

	keepalived Keepalived
	conntrackd daemons
}

// Name implements System.
func (k *RouterKeepalived) Name() string {
	name := "conntrackd-" + strings.ToLower(k.Mode)
	switch {
	case k.Mode == "":
		return "none"
	case k.Direct:
		return name + "-direct"
	default:
		return name
	}
}

// Version implements System.
func (k *RouterKeepalived) Version(ctx context.Context) string {
	version := k.keepalived.Version(ctx)
	if k.Mode == "" {
		return version
	}
	out, err := exec.CommandContext(ctx, "conntrackd", "-v").CombinedOutput()
	// The licence follows.
	own, _, ok := strings.Cut(string(out), ". ")
	if err != nil || !ok {
		own = "conntrackd, version unknown"
	}
	return own + " with " + version
}

// Size implements System: routers are a pair.
func (k *RouterKeepalived) Size() int { return k.keepalived.Size() }

// Start implements System. It returns when conntrackd answers.
func (k *RouterKeepalived) Start(ctx context.Context, h *Host) error {
	var notify string
	if k.Mode != "" {
		if err := k.startConntrackd(ctx, h); err != nil {
			return err
		}
		notify = h.Path("primary-backup.sh")
		if err := render(notify, "primary-backup", map[string]any{"Config": h.Path("conntrackd.conf")}); err != nil {
			return err
		}
		if err := os.Chmod(notify, 0o755); err != nil {
			return err
		}
	}
	state := "BACKUP"
	if first, _ := h.lab.Pair(); h == first {
		state = "MASTER"
	}
	if err := k.setPriority(h, 0); err != nil {
		return err
	}
	type instance struct {
		Name, Interface string
		VRID            int
		Address         netip.Prefix
	}
	config := h.Path("keepalived.conf")
	if err := render(config, "keepalived-routers.conf", map[string]any{
		"Handover": k.handoverPath(h), "Notify": notify, "State": state, "Priority": Priority(h),
		"Instances": []instance{{"INSIDE", Interface, 51, Gateway}, {"OUTSIDE", OutsideInterface, 52, NATAddress}},
	}); err != nil {
		return err
	}
	return k.keepalived.StartWith(h, config)
}

func (k *RouterKeepalived) startConntrackd(ctx context.Context, h *Host) error {
	// A killed one leaves its lock, which a new one would take for a sign of life.
	for _, path := range []string{h.Path("conntrackd.lock"), k.socket(h)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	config := h.Path("conntrackd.conf")
	if err := render(config, "conntrackd.conf", map[string]any{
		"Mode": k.Mode, "Direct": k.Direct, "Own": h.SyncAddr(), "Peer": peerOf(h).SyncAddr(), "Interface": SyncInterface,
		"Log": h.Path("conntrackd-own.log"), "Lock": h.Path("conntrackd.lock"), "Socket": k.socket(h),
		"Ignore": []netip.Addr{h.Addr, h.addrOn(OutsideInterface), h.SyncAddr()},
	}); err != nil {
		return err
	}
	if err := k.conntrackd.start(h, "conntrackd", "conntrackd", "-C", config); err != nil {
		return err
	}
	return Eventually(ctx, "conntrackd to answer on "+h.Name, func() bool {
		_, err := k.ask(h, conntrackdStatistics)
		return err == nil
	})
}

// Signal implements System; the signal is for keepalived.
func (k *RouterKeepalived) Signal(h *Host, sig unix.Signal) error { return k.keepalived.Signal(h, sig) }

// Kill implements System.
func (k *RouterKeepalived) Kill(h *Host) error {
	err := k.keepalived.Kill(h)
	if k.Mode != "" {
		err = errors.Join(err, k.conntrackd.Kill(h))
	}
	return err
}

// Proc implements System; it is keepalived's process.
func (k *RouterKeepalived) Proc(h *Host) *Proc { return k.keepalived.Proc(h) }

// Daemons are all processes that run on the host for the system, but not their children.
func (k *RouterKeepalived) Daemons(h *Host) []*Proc {
	if k.Mode == "" {
		return []*Proc{k.keepalived.Proc(h)}
	}
	return []*Proc{k.keepalived.Proc(h), k.conntrackd.Proc(h)}
}

// State implements System: keepalived does not say it on demand, so the addresses
// stand for it.
func (k *RouterKeepalived) State(_ context.Context, h *Host) State {
	if !k.keepalived.running(h) {
		return StateGone
	}
	return routerState(h)
}

// routerState is what the addresses say: init while only one of them is there.
func routerState(h *Host) State {
	switch inside, outside := h.HasAddr(Gateway.Addr()), h.HasAddrOn(OutsideInterface, NATAddress.Addr()); {
	case inside && outside:
		return StateActive
	case inside || outside:
		return StateInit
	default:
		return StateBackup
	}
}

// Move makes a router hand over, as an operator does: its priority is lowered, and
// the other's is what it was.
func (k *RouterKeepalived) Move(_ context.Context, from *Host) error {
	return errors.Join(k.setPriority(peerOf(from), 0), k.setPriority(from, -50))
}

func (k *RouterKeepalived) handoverPath(h *Host) string { return h.Path("handover") }

// setPriority adds to the configured priority of a router.
func (k *RouterKeepalived) setPriority(h *Host, add int) error {
	return os.WriteFile(k.handoverPath(h), []byte(strconv.Itoa(add)+"\n"), 0o644)
}
