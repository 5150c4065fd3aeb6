// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
)

// everyKind is one flow for each table, and a closing one.
func everyKind() []Flow {
	closing := flow4(4)
	closing.Closing = true
	return []Flow{
		flow4(1),
		{Proto: UDP, Client: netip.MustParseAddrPort("198.51.100.7:2"), VIP: netip.MustParseAddrPort("192.0.2.1:443"), Place: 15, Service: 65535},
		{Proto: TCP, Client: netip.MustParseAddrPort("[2001:db8::7]:65535"), VIP: netip.MustParseAddrPort("[2001:db8::1]:80"), Place: 1, Service: 256},
		closing,
		{Proto: UDP, Client: netip.MustParseAddrPort("[2001:db8::7]:3"), VIP: netip.MustParseAddrPort("[2001:db8::1]:443")},
	}
}

func setOf(flows []Flow) map[Flow]bool {
	set := make(map[Flow]bool)
	for _, f := range flows {
		f.Idle = 0
		set[f] = true
	}
	return set
}

func TestFlowsComeBackAsTheyWerePut(t *testing.T) {
	lab(t)
	d := open(t, "")
	put(t, d, everyKind()...)
	if got := flowsOf(t, d); !maps.Equal(got, setOf(everyKind())) {
		t.Errorf("got %v", got)
	}
	counts, err := d.FlowCounts()
	if err != nil || counts != (FlowCounts{TCP4: 2, TCP6: 1, UDP4: 1, UDP6: 1}) {
		t.Errorf("counted %+v, %v", counts, err)
	}
	n := 0
	for range d.Flows() {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("an iteration that is broken off after two has seen %d", n)
	}
}

func TestFlowsThatMakeNoSense(t *testing.T) {
	lab(t)
	d := open(t, "")
	six := everyKind()[2]
	for name, f := range map[string]Flow{
		"empty":        {},
		"two families": {Proto: TCP, Client: six.Client, VIP: flow4(1).VIP},
		"no place":     {Proto: TCP, Client: six.Client, VIP: six.VIP, Place: MaxTargets},
	} {
		if d.PutFlows([]Flow{flow4(1), f}) == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if got := flowsOf(t, d); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestFlowsInManyBatches(t *testing.T) {
	lab(t)
	d := openWith(t, Options{Flows: 1 << 16})
	var flows []Flow
	for port := range uint16(3*batch + 17) {
		flows = append(flows, flow4(port))
	}
	put(t, d, flows...)
	if got := flowsOf(t, d); !maps.Equal(got, setOf(flows)) {
		t.Errorf("got %d of %d", len(got), len(flows))
	}
	n, err := d.DeleteFlows(func(f Flow) bool { return f.Client.Port()%2 == 0 })
	if want := (len(flows) + 1) / 2; n != want || err != nil {
		t.Errorf("deleted %d instead of %d, %v", n, want, err)
	}
	for f := range flowsOf(t, d) {
		if f.Client.Port()%2 == 0 {
			t.Fatalf("%v is still there", f)
		}
	}
}

func TestIdleFlowsGo(t *testing.T) {
	lab(t)
	d := open(t, "")
	idle := func(f Flow, d time.Duration) Flow { f.Idle = d; return f }
	kinds := everyKind()
	tcp, udp, closing := kinds[0], kinds[1], kinds[3]
	next := func(f Flow) Flow { f.Client = netip.AddrPortFrom(f.Client.Addr(), f.Client.Port()+100); return f }
	put(t, d,
		idle(tcp, 2*time.Hour), idle(next(tcp), 30*time.Minute),
		idle(closing, 30*time.Minute), idle(next(closing), 0),
		idle(udp, 10*time.Minute), idle(next(udp), 0))
	n, err := d.DeleteFlows(IdleLimits{Established: time.Hour, Closing: 10 * time.Minute, UDP: 5 * time.Minute}.Exceeded)
	if n != 3 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	want := setOf([]Flow{next(tcp), next(closing), next(udp)})
	if got := flowsOf(t, d); !maps.Equal(got, want) {
		t.Errorf("left are %v", got)
	}
}

// TestIdleIsReckonedInTheProgramsClock lets the program stamp a flow.
func TestIdleIsReckonedInTheProgramsClock(t *testing.T) {
	lab(t)
	d := open(t, "")
	steerTo(t, d, 1)
	begin := time.Now()
	frame := udp4Frame("198.51.100.7:5", "192.0.2.1:53")
	if _, _, err := d.Program().Test(frame); err != nil {
		t.Fatal(err)
	}
	found := 0
	for f, err := range d.Flows() {
		if err != nil {
			t.Fatal(err)
		}
		found++
		if took := time.Since(begin); f.Idle < 0 || f.Idle > took+d.ticks.length {
			t.Errorf("idle for %v after %v", f.Idle, took)
		}
	}
	if found != 1 {
		t.Fatalf("%d flows", found)
	}
	// The clock runs: as many jiffies have gone by as the time says, give or take one.
	before, err := d.ticks.now()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for time.Since(start) < 5*d.ticks.length {
		grace()
	}
	least := time.Since(start)
	after, err := d.ticks.now()
	if err != nil {
		t.Fatal(err)
	}
	if got := d.ticks.since(after, before); got < least-2*d.ticks.length || got > time.Since(start)+2*d.ticks.length {
		t.Errorf("%v have been %v", least, got)
	}
}

func TestTicksWrapAround(t *testing.T) {
	ticks := ticks{length: 4 * time.Millisecond}
	for _, c := range []struct {
		now, stamp uint32
		want       time.Duration
	}{
		{100, 90, 40 * time.Millisecond},
		{5, 1<<32 - 5, 40 * time.Millisecond},
		{100, 101, 0}, // stamped after now was read
	} {
		if got := ticks.since(c.now, c.stamp); got != c.want {
			t.Errorf("from %d to %d: %v, not %v", c.stamp, c.now, got, c.want)
		}
	}
	for _, ago := range []time.Duration{0, time.Second, 1000 * time.Hour} {
		if got := ticks.since(77, ticks.before(77, ago)); got != min(ago, (1<<31-1)*ticks.length) {
			t.Errorf("%v ago reads as %v", ago, got)
		}
	}
}

// TestCapacityIsChangedUnderService plays the predecessor's program between Open and
// Attach: what it still stamps into its table must not be lost.
func TestCapacityIsChangedUnderService(t *testing.T) {
	for name, flows := range map[string]int{"larger": 4 * MinFlows, "smaller": MinFlows} {
		t.Run(name, func(t *testing.T) {
			dir := lab(t)
			nstest.Veth(t, "a", "b")
			d := openWith(t, Options{PinDir: dir, Flows: 2 * MinFlows})
			put(t, d, everyKind()...)
			attach(t, d, "a", ModeAuto)
			predecessor := clone(t, d.maps.Tcp4)
			closePath(t, d)

			d = openWith(t, Options{PinDir: dir, Flows: flows})
			if got := flowsOf(t, d); !maps.Equal(got, setOf(everyKind())) {
				t.Errorf("after the first pass: %v", got)
			}
			if got := d.Map(bpfMapTcp4).MaxEntries(); got != uint32(flows) {
				t.Errorf("there is room for %d", got)
			}
			begun, closed := flow4(77), flow4(1)
			closed.Closing = true
			stamp(t, d, predecessor, begun, closed)
			attach(t, d, "a", ModeAuto)
			want := setOf(append(everyKind()[1:], begun, closed))
			if got := flowsOf(t, d); !maps.Equal(got, want) {
				t.Errorf("after the swap: %v", got)
			}
			closePath(t, d)

			d = openWith(t, Options{PinDir: dir, Flows: flows})
			if got := flowsOf(t, d); !maps.Equal(got, want) || len(d.Notes()) != 0 {
				t.Errorf("the pinned table is another: %v, %q", got, d.Notes())
			}
		})
	}
}

// TestSwapThatIsCutShort: the daemon dies when the new program serves already, and
// its new tables are not pinned in their place yet.
func TestSwapThatIsCutShort(t *testing.T) {
	dir := lab(t)
	nstest.Veth(t, "a", "b")
	d := open(t, dir)
	put(t, d, flow4(1))
	attach(t, d, "a", ModeAuto)
	closePath(t, d)

	d = openWith(t, Options{PinDir: dir, Flows: 2 * MinFlows})
	if _, err := d.attachTo("a", ModeAuto); err != nil {
		t.Fatal(err)
	}
	put(t, d, flow4(2)) // known to the new table alone
	killed(t, d)
	if !exists(t, filepath.Join(dir, dirNext, bpfMapTcp4)) {
		t.Fatal("this is not what was to be tested")
	}

	for _, flows := range []int{MinFlows, 2 * MinFlows} {
		d = openWith(t, Options{PinDir: dir, Flows: flows})
		if got := flowsOf(t, d); !maps.Equal(got, setOf([]Flow{flow4(1), flow4(2)})) {
			t.Errorf("a table for %d: %v", flows, got)
		}
		if a := attach(t, d, "a", ModeAuto); !a.Adopted {
			t.Errorf("got %+v", a)
		}
		closePath(t, d)
	}
}

// killed ends a data path as SIGKILL does: descriptors are closed, nothing else.
func killed(t *testing.T, d *DataPath) {
	t.Helper()
	d.pins.close()
	d.pins = nil
	closePath(t, d)
}

func clone(t *testing.T, m *ebpf.Map) *ebpf.Map {
	t.Helper()
	c, err := m.Clone()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// stamp writes TCP flows over IPv4 into a table as the program does.
func stamp(t *testing.T, d *DataPath, table *ebpf.Map, flows ...Flow) {
	t.Helper()
	now, err := d.ticks.now()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		v := bpfFlow{Target: uint8(f.Place), Service: f.Service, Seen: now}
		if f.Closing {
			v.Flags = flowClosing
		}
		k := bpfFlow4Key{
			Client: word4(f.Client.Addr()), Vip: word4(f.VIP.Addr()),
			ClientPort: swap16(f.Client.Port()), VipPort: swap16(f.VIP.Port()),
		}
		if err := table.Put(k, v); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLinksUnderAnotherNumberAreStale(t *testing.T) {
	dir := lab(t)
	nstest.Veth(t, "a", "b")
	d := open(t, dir)
	a := attach(t, d, "a", ModeAuto)
	closePath(t, d)
	odd := filepath.Join(dir, dirLinks, "odd")
	if err := os.Rename((&pins{dir: dir}).link(a.Index), odd); err != nil {
		t.Fatal(err)
	}
	d = open(t, dir)
	if exists(t, odd) || len(d.Attachments()) != 0 {
		t.Errorf("pinned is %q", pinsBelow(t, dir))
	}
	attach(t, d, "a", ModeAuto)
}

// steerTo makes 192.0.2.1 a VIP whose services go to the target in a place.
func steerTo(t testing.TB, d *DataPath, place int) {
	t.Helper()
	vip := netip.MustParseAddr("192.0.2.1")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(d.SetVIPs([]VIP{{Addr: vip}}))
	must(d.SetTarget(Target{
		Place: place, Addr: netip.MustParseAddr("192.0.2.102"), Ifindex: 1, // what a test-run comes in by
		MAC: [6]byte{2, 0, 0, 0, 1, byte(place)}, Source: [6]byte{2, 0, 0, 0, 0, 1}, Flags: TargetNew | TargetOld, // whom the frames are for
	}))
	must(d.Publish(Steering{
		Services: []Service{{VIP: vip, Port: 53, Proto: UDP}, {VIP: vip, Port: 80, Proto: TCP}},
		Tables:   [][]uint8{slices.Repeat([]uint8{uint8(place)}, TableSize)},
	}))
}

// udp4Frame is a datagram of 4 bytes without checksums.
func udp4Frame(from, to string) []byte {
	src, dst := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	frame := ethernet(0x0800, 20+8+4)
	ip := frame[14:]
	copy(ip, []byte{0x45, 0, 0, 32, 0, 0, 0, 0, 64, unix.IPPROTO_UDP})
	copy(ip[12:], src.Addr().AsSlice())
	copy(ip[16:], dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[20:], src.Port())
	binary.BigEndian.PutUint16(ip[22:], dst.Port())
	binary.BigEndian.PutUint16(ip[24:], 12)
	return frame
}

// syn4Frame is a SYN without checksums.
func syn4Frame(from, to string) []byte {
	src, dst := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	frame := ethernet(0x0800, 20+20)
	ip := frame[14:]
	copy(ip, []byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, unix.IPPROTO_TCP})
	copy(ip[12:], src.Addr().AsSlice())
	copy(ip[16:], dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[20:], src.Port())
	binary.BigEndian.PutUint16(ip[22:], dst.Port())
	ip[32], ip[33] = 5<<4, 0x02
	return frame
}
