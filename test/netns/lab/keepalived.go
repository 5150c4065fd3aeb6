// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Keepalived runs keepalived on the pair. It is no [Drainer]: keepalived has no
// such thing.
type Keepalived struct {
	daemons
	name string
	// template is the configuration; its values are those of keepalivedValues.
	template string
}

// KeepalivedSeed is keepalived as the how-to configures it: VRRPv2, adverts every
// second, a script every two.
func KeepalivedSeed() *Keepalived {
	return &Keepalived{name: "keepalived-seed", template: "keepalived-seed.conf"}
}

// KeepalivedTuned is keepalived with everything turned to speed: VRRPv3,
// adverts every 10 ms, real-time priority, a script every second.
func KeepalivedTuned() *Keepalived {
	return &Keepalived{name: "keepalived-tuned", template: "keepalived-tuned.conf"}
}

// Name implements System.
func (k *Keepalived) Name() string { return k.name }

// Version implements System.
func (k *Keepalived) Version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "keepalived", "--version").CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	if err != nil || line == "" {
		return "keepalived, version unknown"
	}
	return line
}

// Start implements System.
func (k *Keepalived) Start(_ context.Context, h *Host) error {
	script, err := k.WriteCheck(h)
	if err != nil {
		return err
	}
	state := "BACKUP"
	if first, _ := h.lab.Pair(); h == first {
		state = "MASTER"
	}
	config := h.Path("keepalived.conf")
	if err := render(config, k.template, map[string]any{
		"CheckScript": script,
		"Interface":   Interface,
		"State":       state,
		"Priority":    Priority(h),
		"VIP":         VIP,
	}); err != nil {
		return err
	}
	return k.StartWith(h, config)
}

// WriteCheck writes the script that reports whether the host's haproxy runs, and
// returns its path.
func (k *Keepalived) WriteCheck(h *Host) (string, error) {
	path := h.Path("check-haproxy")
	return path, writeExecutable(path, fmt.Sprintf("#!/bin/sh\nkill -0 \"$(cat %s)\"\n", h.HAProxyPIDFile()))
}

// StartWith starts keepalived with a configuration of the caller's.
func (k *Keepalived) StartWith(h *Host, config string) error {
	// A killed keepalived leaves its pidfiles, and a new one would take a
	// reused pid for itself.
	pidfile, vrrpPidfile := h.Path("keepalived.pid"), h.Path("keepalived-vrrp.pid")
	for _, path := range []string{pidfile, vrrpPidfile} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return k.start(h, "keepalived", "keepalived", "--dont-fork", "--vrrp", "--log-console",
		"-f", config, "-p", pidfile, "-r", vrrpPidfile)
}

// State implements System. Keepalived does not say it on demand, so the VIP on
// the interface stands for it.
func (k *Keepalived) State(_ context.Context, h *Host) State {
	switch {
	case !k.running(h):
		return StateGone
	case h.HasAddr(VIP):
		return StateActive
	default:
		return StateBackup
	}
}
