// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/internal/link/nstest"
)

func TestAttachModes(t *testing.T) {
	for _, c := range []struct {
		mode, want Mode
	}{{ModeAuto, ModeGeneric}, {ModeNative, ModeNative}, {ModeGeneric, ModeGeneric}} {
		t.Run(c.mode.String(), func(t *testing.T) {
			dir := lab(t)
			nstest.Veth(t, "a", "b")
			d := open(t, dir)
			got := attach(t, d, "a", c.mode)
			at, err := lookUpInterface("a")
			if err != nil {
				t.Fatal(err)
			}
			if got.Mode != c.want || at.mode != c.want || at.program != programID(t, d.Program()) {
				t.Errorf("got %+v, the kernel says %+v", got, at)
			}
			if got.Interface != "a" || got.Index != at.index || got.Adopted || got.Reason == "" {
				t.Errorf("got %+v", got)
			}
			if again := attach(t, d, "a", c.mode); again != got {
				t.Errorf("attaching again gives %+v", again)
			}
		})
	}
}

// TestAutoIsNative where the driver can and hides nothing of a frame.
func TestAutoIsNative(t *testing.T) {
	dir := lab(t)
	if err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tap0"}, Mode: netlink.TUNTAP_MODE_TAP}); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir)
	if a := attach(t, d, "tap0", ModeAuto); a.Mode != ModeNative || a.Reason != "the driver can" {
		t.Errorf("got %+v", a)
	}
}

// TestGenericWhereTheDriverCannot: lo has no native XDP.
func TestGenericWhereTheDriverCannot(t *testing.T) {
	dir := lab(t)
	d := open(t, dir)
	a := attach(t, d, "lo", ModeAuto)
	if a.Mode != ModeGeneric || !strings.Contains(a.Reason, "no native XDP") {
		t.Errorf("got %+v", a)
	}
	if err := d.Detach("lo"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Attach("lo", ModeNative); !errors.Is(err, unix.EOPNOTSUPP) || !strings.Contains(err.Error(), "no native XDP") {
		t.Errorf("got %v", err)
	}
}

func TestAttachToWhatIsNotThere(t *testing.T) {
	dir := lab(t)
	d := open(t, dir)
	if _, err := d.Attach("nowhere", ModeAuto); err == nil {
		t.Error("attached")
	}
}

func TestForeignProgramStays(t *testing.T) {
	for name, flags := range map[string]link.XDPAttachFlags{"native": link.XDPDriverMode, "generic": link.XDPGenericMode} {
		t.Run(name, func(t *testing.T) {
			dir := lab(t)
			nstest.Veth(t, "a", "b")
			foreign := passProgram(t, "firewall")
			index := nstest.Link(t, "a").Attrs().Index
			l, err := link.AttachXDP(link.XDPOptions{Program: foreign, Interface: index, Flags: flags})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()

			d := open(t, dir)
			for _, mode := range []Mode{ModeAuto, ModeNative, ModeGeneric} {
				_, err := d.Attach("a", mode)
				occupied, ok := errors.AsType[*OccupiedError](err)
				if !ok || !errors.Is(err, ErrOccupied) {
					t.Fatalf("%v: got %v", mode, err)
				}
				want := OccupiedError{Interface: "a", ProgramID: uint32(programID(t, foreign)), Program: "firewall", Mode: occupied.Mode}
				if *occupied != want || occupied.Mode.String() != name {
					t.Errorf("got %+v", occupied)
				}
				if programOn(t, "a") != programID(t, foreign) {
					t.Fatal("the foreign program is gone")
				}
			}
		})
	}
}

func TestRestartAdoptsTheAttachment(t *testing.T) {
	dir := lab(t)
	nstest.Veth(t, "a", "b")
	d := open(t, dir)
	first := attach(t, d, "a", ModeGeneric)
	closePath(t, d)
	before := programOn(t, "a")
	if before == 0 {
		t.Fatal("the program does not serve without the daemon")
	}

	d = open(t, dir)
	if programOn(t, "a") != before {
		t.Error("the program was replaced before Attach")
	}
	list := d.Attachments()
	if len(list) != 1 || list[0].Index != first.Index || list[0].Interface != "a" {
		t.Errorf("attachments are %+v", list)
	}
	a := attach(t, d, "a", ModeAuto)
	if !a.Adopted || a.Mode != ModeGeneric || programOn(t, "a") != programID(t, d.Program()) {
		t.Errorf("got %+v", a)
	}
	if exists(t, filepath.Join(dir, dirNext)) {
		t.Error("the pins are not in force")
	}
}

// TestOpenWithoutAttachChangesNothing: a daemon that gives up after Open leaves its
// predecessor's data path as it was.
func TestOpenWithoutAttachChangesNothing(t *testing.T) {
	dir := lab(t)
	nstest.Veth(t, "a", "b")
	d := open(t, dir)
	attach(t, d, "a", ModeAuto)
	table, err := mapID(d.maps.Tcp4)
	if err != nil {
		t.Fatal(err)
	}
	closePath(t, d)
	serving := programOn(t, "a")

	closePath(t, openWith(t, Options{PinDir: dir, Flows: 2 * MinFlows}))
	if programOn(t, "a") != serving || exists(t, filepath.Join(dir, dirNext)) {
		t.Errorf("pinned is %q", pinsBelow(t, dir))
	}
	d = open(t, dir)
	if id, _ := mapID(d.maps.Tcp4); id != table {
		t.Error("the flow table has been replaced")
	}
}

func TestModeIsChangedOnDemand(t *testing.T) {
	dir := lab(t)
	nstest.Veth(t, "a", "b")
	d := open(t, dir)
	attach(t, d, "a", ModeGeneric)
	closePath(t, d)

	d = open(t, dir)
	if a := attach(t, d, "a", ModeNative); a.Adopted || a.Mode != ModeNative {
		t.Errorf("got %+v", a)
	}
	if at, _ := lookUpInterface("a"); at.mode != ModeNative {
		t.Errorf("the kernel says %v", at.mode)
	}
}

func TestStaleLinkOfARecreatedInterface(t *testing.T) {
	dir := lab(t)
	nstest.Veth(t, "a", "b")
	d := open(t, dir)
	old := attach(t, d, "a", ModeAuto)
	closePath(t, d)
	nstest.Delete(t, "a")
	nstest.Veth(t, "a", "b")

	d = open(t, dir)
	a := attach(t, d, "a", ModeAuto)
	if a.Adopted || a.Index == old.Index || programOn(t, "a") != programID(t, d.Program()) {
		t.Errorf("got %+v", a)
	}
	if exists(t, filepath.Join(dir, dirLinks, strconv.Itoa(old.Index))) {
		t.Error("the stale pin is still there")
	}
}

// TestInterfaceRecreatedWhileOpen: the daemon runs on while its interface is gone.
func TestInterfaceRecreatedWhileOpen(t *testing.T) {
	dir := lab(t)
	nstest.Veth(t, "a", "b")
	d := open(t, dir)
	old := attach(t, d, "a", ModeAuto)
	nstest.Delete(t, "a")
	nstest.Veth(t, "a", "b")
	a := attach(t, d, "a", ModeAuto)
	if a.Index == old.Index || programOn(t, "a") == 0 {
		t.Errorf("got %+v", a)
	}
	if list := d.Attachments(); len(list) != 1 || list[0] != a {
		t.Errorf("attachments are %+v", list)
	}
}

func TestDetach(t *testing.T) {
	dir := lab(t)
	nstest.Veth(t, "a", "b")
	d := open(t, dir)
	attach(t, d, "a", ModeAuto)
	attach(t, d, "b", ModeAuto)
	for range 2 { // the second time it is not there
		if err := d.Detach("a"); err != nil {
			t.Fatal(err)
		}
	}
	if programOn(t, "a") != 0 || programOn(t, "b") == 0 {
		t.Error("the wrong one is gone")
	}
	if list := d.Attachments(); len(list) != 1 || list[0].Interface != "b" {
		t.Errorf("attachments are %+v", list)
	}
	closePath(t, d)

	d = open(t, dir) // a predecessor's can be detached too
	if err := d.Detach("b"); err != nil {
		t.Fatal(err)
	}
	if programOn(t, "b") != 0 {
		t.Error("b is still attached")
	}
}

func TestRemoveLeavesNothing(t *testing.T) {
	dir := lab(t)
	nstest.Veth(t, "a", "b")
	d := open(t, dir)
	attach(t, d, "a", ModeAuto)
	closePath(t, d)
	d = open(t, dir)
	attach(t, d, "a", ModeAuto)
	attach(t, d, "b", ModeGeneric)
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	if programOn(t, "a") != 0 || programOn(t, "b") != 0 {
		t.Error("a program has been left")
	}
	if exists(t, dir) {
		t.Errorf("left are %q", pinsBelow(t, dir))
	}
	closePath(t, d)
	if err := d.Remove(); err == nil {
		t.Error("removed twice")
	}
}

func TestRemovePinned(t *testing.T) {
	dir := lab(t)
	if err := RemovePinned(dir); err != nil {
		t.Errorf("nothing to remove: %v", err)
	}
	nstest.Veth(t, "a", "b")
	d := open(t, dir)
	attach(t, d, "a", ModeAuto)
	if err := RemovePinned(dir); !errors.Is(err, ErrBusy) {
		t.Errorf("a path in use: %v", err)
	}
	closePath(t, d)
	if err := RemovePinned(dir); err != nil {
		t.Fatal(err)
	}
	if programOn(t, "a") != 0 || exists(t, dir) {
		t.Error("something has been left")
	}
}

// TestForeignPinsAreNotRemoved: a directory that is shared by mistake.
func TestForeignPinsAreNotRemoved(t *testing.T) {
	dir := lab(t)
	d := open(t, dir)
	theirs := filepath.Join(dir, "theirs")
	if err := os.Mkdir(theirs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(); err == nil {
		t.Error("no word about what is left")
	}
	if !exists(t, theirs) {
		t.Error("it has been removed")
	}
}

// TestReplaceUnderTrafficLosesNothing counts datagrams into a, whose program is
// replaced all the while: none is lost, and none gets by
// without a program having seen it.
func TestReplaceUnderTrafficLosesNothing(t *testing.T) {
	const replacements = 20
	dir := lab(t)
	nstest.Veth(t, "a", "b")
	nstest.Add(t, "a", "10.9.0.1/24")
	peer := nstest.NewPeer(t, "b")
	mac := nstest.Link(t, "a").Attrs().HardwareAddr
	var dialErr error
	var client net.Conn
	received := receiver(t, "10.9.0.1:9000")
	peer.Do(func() {
		nstest.Add(t, "b", "10.9.0.2/24")
		nstest.Operational(t, "b")
		// No datagram waits, or is given up, for want of a hardware address.
		dialErr = netlink.NeighSet(&netlink.Neigh{
			LinkIndex: nstest.Link(t, "b").Attrs().Index, IP: net.IPv4(10, 9, 0, 1), HardwareAddr: mac, State: netlink.NUD_PERMANENT,
		})
		if dialErr == nil {
			client, dialErr = net.Dial("udp", "10.9.0.1:9000")
		}
	})
	if dialErr != nil {
		t.Fatal(dialErr)
	}
	defer client.Close()
	nstest.Operational(t, "a")

	d := open(t, dir)
	attach(t, d, "a", ModeNative)
	counted := func() uint64 {
		c, err := d.Counters()
		if err != nil {
			t.Fatal(err)
		}
		return c[PassOther]
	}
	start := counted()

	stop, sent := make(chan struct{}), make(chan uint64)
	go func() {
		var n uint64
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				sent <- n
				return
			case <-tick.C:
				if _, err := client.Write(make([]byte, 64)); err != nil {
					t.Error(err)
				}
				n++
			}
		}
	}()
	for range replacements {
		closePath(t, d)
		d = open(t, dir)
		if a := attach(t, d, "a", ModeAuto); !a.Adopted {
			t.Errorf("got %+v", a)
		}
	}
	close(stop)
	n := <-sent
	eventually.True(t, "every datagram arrives", func() bool { return received.Load() == n })
	// The self-checks count too, hence at least.
	if got := counted() - start; got < n {
		t.Errorf("the programs have seen %d of %d", got, n)
	}
	if n < replacements {
		t.Errorf("only %d datagrams were sent", n)
	}
}

// receiver counts datagrams to an address.
func receiver(t *testing.T, address string) *atomic.Uint64 {
	t.Helper()
	var n atomic.Uint64
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
		})
	}}
	conn, err := lc.ListenPacket(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			if _, _, err := conn.ReadFrom(b); err != nil {
				return
			}
			n.Add(1)
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return &n
}
