// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Mode is how the program runs on an interface.
type Mode uint8

const (
	// ModeAuto is native where the driver can and what it shows of a frame is all there is,
	// generic otherwise.
	ModeAuto Mode = iota
	// ModeNative runs in the driver, before the kernel makes a packet of the frame.
	ModeNative
	// ModeGeneric runs behind the driver: slower, everywhere.
	ModeGeneric
)

func (m Mode) String() string {
	switch m {
	case ModeNative:
		return "native"
	case ModeGeneric:
		return "generic"
	case ModeAuto:
	}
	return "auto"
}

// Attachment is an interface that runs a program of hafast.
type Attachment struct {
	Interface string
	Index     int
	Mode      Mode   // native or generic
	Reason    string // why it is this mode
	// Adopted: a predecessor has attached it, and no packet was lost when the
	// program was replaced.
	Adopted bool
}

// attached is an attachment and the link behind it.
type attached struct {
	Attachment
	link link.Link
	// current: it runs the program of this process.
	current bool
}

// Attach puts the program on an interface. Where a predecessor's is, it is replaced
// in one step. An *OccupiedError is returned if somebody else's is there; it stays.
// Attaching again changes nothing.
func (d *DataPath) Attach(name string, mode Mode) (Attachment, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return Attachment{}, errClosed
	}
	a, err := d.attachTo(name, mode)
	if err != nil {
		return Attachment{}, fmt.Errorf("attach to %s: %w", name, err)
	}
	if err := d.settle(); err != nil {
		return a.Attachment, fmt.Errorf("attached to %s, but: %w", name, err)
	}
	return a.Attachment, nil
}

func (d *DataPath) attachTo(name string, mode Mode) (*attached, error) {
	if err := d.dropGone(); err != nil {
		return nil, err
	}
	at, err := lookUpInterface(name)
	if err != nil {
		return nil, err
	}
	a := d.links[at.index]
	if a != nil {
		if why, err := unusable(a, at, mode); err != nil {
			return nil, err
		} else if why != "" {
			if err := d.drop(a); err != nil {
				return nil, err
			}
			d.note("%s: detached the former program, %s", name, why)
			if at, err = lookUpInterface(name); err != nil {
				return nil, err
			}
			a = nil
		}
	}
	switch {
	case a == nil && at.program != 0:
		return nil, occupied(at)
	case a == nil:
		return d.attachFresh(at, mode)
	case a.current:
		return a, nil
	default:
		return a, d.adopt(a, at)
	}
}

// adopt replaces the program of a predecessor's link: the one step that matters.
func (d *DataPath) adopt(a *attached, at networkInterface) error {
	if err := a.link.Update(d.program); err != nil {
		return fmt.Errorf("replace the predecessor's program: %w", err)
	}
	a.Attachment = Attachment{
		Interface: at.name, Index: at.index, Mode: at.mode, Adopted: true,
		Reason: "taken over from the predecessor, which ran " + at.mode.String(),
	}
	a.current = true
	return nil
}

// unusable says why a link cannot serve the interface, and nothing if it can.
func unusable(a *attached, at networkInterface, mode Mode) (why string, err error) {
	_, program, err := linkInfo(a.link)
	switch {
	case err != nil:
		return "", err
	case program != at.program:
		return "which was on another interface of the same number", nil
	case mode != ModeAuto && mode != at.mode:
		return fmt.Sprintf("to change from %v to %v mode", at.mode, mode), nil
	}
	return "", nil
}

// dropGone drops the links of interfaces that are gone since they were attached.
func (d *DataPath) dropGone() error {
	for _, a := range d.links {
		ifindex, _, err := linkInfo(a.link)
		if err != nil {
			return err
		}
		if ifindex != a.Index {
			if err := d.drop(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop detaches, unpins and closes a link.
func (d *DataPath) drop(a *attached) error {
	delete(d.links, a.Index)
	err := errors.Join(detach(a.link), a.link.Close())
	if d.pins != nil {
		err = errors.Join(err, d.pins.unpinLink(a.Index))
	}
	return err
}

// attachFresh attaches to an interface that runs nothing.
func (d *DataPath) attachFresh(at networkInterface, mode Mode) (*attached, error) {
	a := &attached{Attachment: Attachment{Interface: at.name, Index: at.index}, current: true}
	var err error
	switch {
	case mode == ModeGeneric:
		a.Mode, a.Reason = ModeGeneric, "as configured"
		a.link, err = d.linkTo(at, link.XDPGenericMode)
	case mode == ModeNative:
		a.Mode, a.Reason = ModeNative, "as configured"
		a.link, err = d.linkTo(at, link.XDPDriverMode)
		if err != nil {
			err = fmt.Errorf("%s: %w", d.refusal(at, err), err)
		}
	case mode == ModeAuto && at.generic != "":
		a.Mode, a.Reason = ModeGeneric, at.generic
		a.link, err = d.linkTo(at, link.XDPGenericMode)
	default:
		a.Mode, a.Reason = ModeNative, "the driver can"
		a.link, err = d.linkTo(at, link.XDPDriverMode)
		if err != nil && !errors.Is(err, ErrOccupied) {
			a.Mode, a.Reason = ModeGeneric, fmt.Sprintf("%s: %v", d.refusal(at, err), err)
			a.link, err = d.linkTo(at, link.XDPGenericMode)
		}
	}
	if err != nil {
		return nil, err
	}
	if d.pins != nil {
		// Until it is pinned, the link ends with this process.
		if err := errors.Join(d.pins.unpinLink(at.index), a.link.Pin(d.pins.link(at.index))); err != nil {
			return nil, errors.Join(fmt.Errorf("pin the link: %w", err), a.link.Close())
		}
	}
	d.links[at.index] = a
	return a, nil
}

func (d *DataPath) linkTo(at networkInterface, flags link.XDPAttachFlags) (link.Link, error) {
	l, err := link.AttachXDP(link.XDPOptions{Program: d.program, Interface: at.index, Flags: flags})
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
		// Somebody may have come in between.
		if now, lookErr := lookUpInterface(at.name); lookErr == nil && now.program != 0 {
			return nil, occupied(now)
		}
	}
	return l, err
}

// settle finishes what Open has begun, now that the new program serves: the last
// flows are copied, and the pins come into force.
func (d *DataPath) settle() error {
	if len(d.migrations) > 0 {
		grace() // packets that are still in the old program
		for _, m := range d.migrations {
			if _, err := m.second(); err != nil {
				return err
			}
		}
		if !d.predecessorServes() {
			d.endMigrations()
		}
	}
	if d.pins == nil {
		return nil
	}
	return d.pins.commit()
}

// predecessorServes reports whether there are interfaces that Attach has not been
// called for: their packets are still stamped into the old tables.
func (d *DataPath) predecessorServes() bool {
	for _, a := range d.links {
		if !a.current {
			return true
		}
	}
	return false
}

func (d *DataPath) endMigrations() {
	for _, m := range d.migrations {
		_ = m.from.Close()
	}
	d.migrations = nil
}

// Attachments lists the interfaces that run hafast's program; a predecessor's that
// Attach has not been called for are among them, with no mode.
func (d *DataPath) Attachments() []Attachment {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Attachment, 0, len(d.links))
	for _, a := range d.links {
		list = append(list, a.Attachment)
	}
	return list
}

// Detach takes the program off an interface, be it ours or a predecessor's. If it is
// not there, nothing happens.
func (d *DataPath) Detach(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.links {
		if a.Interface != name {
			continue
		}
		if err := d.drop(a); err != nil {
			return fmt.Errorf("detach from %s: %w", name, err)
		}
	}
	return nil
}

func occupied(at networkInterface) error {
	e := &OccupiedError{Interface: at.name, ProgramID: uint32(at.program), Mode: at.mode}
	if program, err := ebpf.NewProgramFromID(at.program); err == nil {
		defer program.Close()
		if info, err := program.Info(); err == nil {
			e.Program = info.Name
		}
	}
	return e
}
