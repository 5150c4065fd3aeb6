// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BinaryVariable names the environment variable with the hafast binary to test.
const BinaryVariable = "HAFAST_BIN"

// ErrNoBinary is returned when there is no hafast binary to test.
var ErrNoBinary = errors.New("no hafast binary: build bin/hafast or set " + BinaryVariable)

// Hafast runs hafast on the pair, or on a group.
type Hafast struct {
	daemons
	// Binary is the program.
	Binary string
	// AdvertInterval defaults to 10 ms.
	AdvertInterval time.Duration
	// Liveness, Balance and XDP are written to the configuration where they are set;
	// without, the daemon's own defaults hold. XDP "off" leaves a plain VRRP daemon.
	Liveness Liveness
	Balance  string
	XDP      string
	// Label, if set, is the name, so that variants can be told apart.
	Label string
	// Config, if set, writes the whole configuration of a host instead of the
	// lab's own. The control socket must be that of [Hafast.Socket].
	Config func(h *Host) string
}

// ModeOfWires is how the XDP program runs unless a test has it otherwise: in the driver, as
// on the network cards that the wires of a lab stand for. Their far ends run a program and
// their senders finish checksums, without which 'xdp: auto' takes a veth to be generic.
const ModeOfWires = "native"

// Liveness paces the probes among the hosts: so many unanswered in a row mean down.
type Liveness struct {
	Interval   time.Duration
	Multiplier int
}

// NewHafast finds the hafast binary: the one named in the environment, else
// bin/hafast in the module that the working directory is in.
func NewHafast() (*Hafast, error) {
	path := os.Getenv(BinaryVariable)
	if path == "" {
		root, err := moduleRoot()
		if err != nil {
			return nil, fmt.Errorf("%w (%w)", ErrNoBinary, err)
		}
		path = filepath.Join(root, "bin", "hafast")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(path); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoBinary, err)
	}
	return &Hafast{Binary: path, AdvertInterval: 10 * time.Millisecond, XDP: ModeOfWires}, nil
}

// Name implements System.
func (f *Hafast) Name() string { return cmp.Or(f.Label, "hafast") }

// Version implements System.
func (f *Hafast) Version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, f.Binary, "version").Output()
	line, _, _ := strings.Cut(string(out), "\n")
	if err != nil || line == "" {
		return "hafast, version unknown"
	}
	return line
}

// Socket is the control socket of the host's daemon.
func (f *Hafast) Socket(h *Host) string { return h.Path("hafast.sock") }

// ConfigPath is the configuration file of the host's daemon.
func (f *Hafast) ConfigPath(h *Host) string { return h.Path("hafast.yaml") }

// StateDir is the state directory of the host's daemon.
func (f *Hafast) StateDir(h *Host) string { return h.Path(stateDir) }

// BPFDir is where the host's daemon pins its programs and maps.
func (f *Hafast) BPFDir(h *Host) string { return h.BPFDir() }

// stateDir is gone after a Reset, as a tmpfs is after a reboot.
const stateDir = "state"

// WriteConfig writes the configuration that Start uses.
func (f *Hafast) WriteConfig(h *Host) error {
	if f.Config != nil {
		return os.WriteFile(f.ConfigPath(h), []byte(f.Config(h)), 0o644)
	}
	var peers []string
	for _, o := range Others(Members(f, h.lab), h) {
		peers = append(peers, o.Addr.String())
	}
	return render(f.ConfigPath(h), "hafast.yaml", map[string]any{
		"Node":           h.Name,
		"Interface":      Interface,
		"Peers":          strings.Join(peers, ", "),
		"Priority":       Priority(h),
		"AdvertInterval": f.AdvertInterval,
		"VIP":            VIP,
		"PIDFile":        h.HAProxyPIDFile(),
		"Socket":         f.Socket(h),
		"StateDir":       f.StateDir(h),
		"BPFDir":         f.BPFDir(h),
		"Liveness":       f.Liveness,
		"Balance":        f.Balance,
		"XDP":            f.XDP,
	})
}

// Start implements System.
func (f *Hafast) Start(_ context.Context, h *Host) error {
	if err := f.WriteConfig(h); err != nil {
		return err
	}
	return f.start(h, "hafast", f.Binary, "run", "--config", f.ConfigPath(h))
}

// Upgrade implements Upgrader: the daemon goes without a word, its data path goes on
// under an extended lease, and the binary is started again.
func (f *Hafast) Upgrade(ctx context.Context, h *Host) error {
	if err := f.Signal(h, unix.SIGUSR2); err != nil {
		return err
	}
	select {
	case <-f.Proc(h).Done():
	case <-ctx.Done():
		return fmt.Errorf("upgrade %s: %w", h.Name, context.Cause(ctx))
	}
	return f.Start(ctx, h)
}

// Client runs a client command against the host's daemon and returns its output.
func (f *Hafast) Client(ctx context.Context, h *Host, args ...string) (string, error) {
	return h.Run(ctx, f.Binary, append(args, "--socket", f.Socket(h))...)
}

// Drain implements Drainer.
func (f *Hafast) Drain(ctx context.Context, h *Host) error {
	_, err := f.Client(ctx, h, "drain")
	return err
}

// Ready undoes Drain.
func (f *Hafast) Ready(ctx context.Context, h *Host) error {
	_, err := f.Client(ctx, h, "ready")
	return err
}

// State implements System: the state that all instances of the host share, init
// where they differ or the daemon does not answer yet.
func (f *Hafast) State(ctx context.Context, h *Host) State {
	if !f.running(h) {
		return StateGone
	}
	out, err := h.Command(ctx, f.Binary, "status", "--json", "--socket", f.Socket(h)).Output()
	if err != nil {
		return StateInit
	}
	var status struct {
		Instances []struct {
			State State `json:"state"`
		} `json:"instances"`
	}
	if json.Unmarshal(out, &status) != nil || len(status.Instances) == 0 {
		return StateInit
	}
	for _, i := range status.Instances {
		if i.State != status.Instances[0].State {
			return StateInit
		}
	}
	return status.Instances[0].State
}

// moduleRoot is the nearest directory above the working directory with a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside a Go module")
		}
		dir = parent
	}
}
