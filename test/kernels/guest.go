// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hafast/test/kernels/nics"
)

// Guest is a virtual machine that runs the tests of a data image once and powers
// itself off.
type Guest struct {
	Kernel    Kernel
	Initramfs string
	Data      string // data image
	Root      string // root image, or "" for a smoke run
	// Accel is qemu's accelerator: "tcg", which emulates, or "kvm".
	Accel     string
	CPUs      int
	MemoryMiB int
	// Networks are the virtio interfaces, numbered by the guest from eth0 on.
	Networks []Network
	// BridgeScript joins taps to their bridges; needed where a network is bridged.
	BridgeScript string
	Timeout      time.Duration
	// Console gets what the kernel logs.
	Console io.Writer
}

// ErrTimeout is of a guest that was still running when its time was up.
var ErrTimeout = errors.New("the guest was still running when its time was up")

// Run boots the guest, hands over what arrives on its results' port, and returns
// when the guest has ended. It never leaves one behind.
func (g Guest) Run(ctx context.Context, results func(io.Reader) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, g.Timeout, ErrTimeout)
	defer cancel()
	console, consoleEnd, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make the console: %w", err)
	}
	defer console.Close()
	port, portEnd, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("make the port: %w", err), consoleEnd.Close())
	}
	defer port.Close()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", g.arguments()...)
	cmd.ExtraFiles = []*os.File{consoleEnd, portEnd} // 3 and 4
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.WaitDelay = 5 * time.Second
	if bridged(g.Networks) {
		// Taps and bridges end with this namespace, and it ends with qemu.
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	}
	err = cmd.Start()
	// What qemu has is its own; ours would keep the pipes from ending.
	err = errors.Join(err, consoleEnd.Close(), portEnd.Close())
	if err != nil {
		return fmt.Errorf("start qemu: %w", err)
	}

	logged := make(chan error, 1)
	go func() {
		_, err := io.Copy(g.Console, console)
		logged <- err
	}()
	readErr := results(port)
	if readErr != nil {
		cancel() // nobody reads any more: a guest that waits for that never ends
	}
	waitErr := cmd.Wait()
	logErr := <-logged
	switch {
	case readErr != nil:
		return fmt.Errorf("read results: %w", readErr)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case waitErr != nil:
		return fmt.Errorf("qemu: %w\n%s", waitErr, tail(stderr.String()))
	case logErr != nil:
		return fmt.Errorf("log the console: %w", logErr)
	}
	return nil
}

func (g Guest) arguments() []string {
	// A plain processor is emulated a third quicker than one with all features.
	model := "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt"
	if g.Accel == "kvm" {
		model = "host"
	}
	args := []string{
		"-accel", g.Accel, "-cpu", model,
		"-smp", strconv.Itoa(g.CPUs), "-m", strconv.Itoa(g.MemoryMiB),
		"-nodefaults", "-display", "none", "-no-reboot",
		"-serial", "file:/dev/fd/3", // ttyS0
		// A serial port would cost an exit from the guest for each byte. Not qemu's
		// standard output: when its input ends, the port counts as closed.
		"-device", "virtio-serial-pci", "-chardev", "file,id=results,path=/dev/fd/4",
		"-device", "virtserialport,chardev=results,name=results",
		"-kernel", g.Kernel.Image(), "-initrd", g.Initramfs,
		// What the kernel does not know itself is in the environment of its first process.
		"-append", "console=ttyS0 quiet panic=-1 net.ifnames=0 mitigations=off nokaslr rcupdate.rcu_expedited=1 " +
			nics.Variable + "=" + nics.Encode(names(g.Networks)),
	}
	disks := []struct{ serial, file string }{{"data", g.Data}, {"modules", g.Kernel.ModulesImage()}}
	if g.Root != "" {
		disks = append(disks, struct{ serial, file string }{"root", g.Root})
	}
	for _, d := range disks {
		// With a snapshot all that is written is thrown away at the end.
		args = append(args,
			"-drive", fmt.Sprintf("if=none,id=%s,format=raw,snapshot=on,file=%s", d.serial, strings.ReplaceAll(d.file, ",", ",,")),
			"-device", fmt.Sprintf("virtio-blk-pci,drive=%s,serial=%s", d.serial, d.serial))
	}
	return append(args, networkArguments(g.Networks, g.BridgeScript)...)
}
