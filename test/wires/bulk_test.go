// SPDX-License-Identifier: Apache-2.0

package wires_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"hafast/test/netns/lab"
)

const (
	bulkPort = 9000
	// bulkDefault is how many MB (of 2^20 bytes) a transfer moves each way, and bulkVariable
	// names the environment variable that says otherwise.
	bulkDefault  = 32
	bulkVariable = "HAFAST_BULK_MB"
	// bulkPatience bounds a transfer, by its size: slower than that is no wire, but an
	// emulated guest comes near.
	bulkPatience = 10 * time.Second // for 1 MB each way
)

// bulk is what is moved each way in a transfer.
type bulk struct {
	size int64
	sum  uint32
	// timeout is how long a transfer may take.
	timeout time.Duration
}

// newBulk takes the size from what bulkVariable is set to, or the default where that is "".
func newBulk(value string) (bulk, error) {
	mb := bulkDefault
	if value != "" {
		var err error
		if mb, err = strconv.Atoi(value); err != nil || mb < 1 || mb > 1<<20 {
			return bulk{}, fmt.Errorf("%s=%s is not a number of MB from 1 to %d", bulkVariable, value, 1<<20)
		}
	}
	b := bulk{size: int64(mb) << 20, timeout: time.Duration(mb) * bulkPatience}
	// Taken before any transfer, so that none pays for it.
	sum := crc32.New(crcTable)
	if _, err := io.CopyN(sum, &pattern{}, b.size); err != nil {
		return bulk{}, err
	}
	b.sum = sum.Sum32()
	return b, nil
}

func TestBulkSize(t *testing.T) {
	for value, want := range map[string]int64{"": bulkDefault << 20, "1": 1 << 20, "40": 40 << 20} {
		if b, err := newBulk(value); err != nil || b.size != want {
			t.Errorf("%q: got %d bytes, %v; want %d", value, b.size, err, want)
		}
	}
	for _, value := range []string{"0", "-1", "1.5", "many", "99999999"} {
		if _, err := newBulk(value); err == nil {
			t.Errorf("%q was taken", value)
		}
	}
}

// bulkWires are those on which large frames are made or taken apart on the way.
func bulkWires() []wire {
	names := []string{
		"network card", "container", "checksums left to the wire", "MTU 9000", "bridge",
		"virtio, one queue", "virtio, several queues", "virtio, no offload control",
	}
	var out []wire
	for _, w := range wires() {
		for _, name := range names {
			if w.name == name {
				w.config += fmt.Sprintf("services: [{vip: %s, port: %d, proto: tcp}, {vip: %s, port: %d, proto: tcp}]\n", w.vip(), port, w.vip(), bulkPort)
				out = append(out, w)
			}
		}
	}
	return append(out, with(out[0], func(w *wire) { w.name, w.config = "network card, native", w.config+"xdp: native\n" }))
}

// vip is the first one of the wire.
func (w wire) vip() netip.Addr {
	if len(w.networks) == 0 {
		return lab.VIP
	}
	return w.networks[0].vip
}

// TestBulk moves a lot through the Active to the peer's server and back: what arrives is
// what was sent, with no packet in between whose checksum did not hold. It logs a line for
// each wire with the throughput of either way, the peer's as a share of the Active's own.
// Client and servers are of this process, and with the race detector the line is of that.
func TestBulk(t *testing.T) {
	b, err := newBulk(os.Getenv(bulkVariable))
	check(t, err)
	for _, w := range bulkWires() {
		t.Run(w.name, func(t *testing.T) {
			p := newPair(t, w)
			for _, h := range []*lab.Host{p.a, p.b} {
				p.serveBulk(h, b)
			}
			p.start()
			p.shared(p.a, lab.HostA, lab.HostB)
			before := p.badChecksums(p.b)
			speed := make(map[string]float64)
			for len(speed) < 2 {
				node, took, err := p.transfer(b)
				check(t, err)
				speed[node] = 2 * float64(b.size) / took.Seconds() / (1 << 20)
			}
			local, peer := speed[lab.HostA], speed[lab.HostB]
			t.Logf("bulk: wire=%q mb=%d local=%.0fMB/s peer=%.0fMB/s peer/local=%.2f", w.name, b.size>>20, local, peer, peer/local)
			if n := p.badChecksums(p.b) - before; n != 0 {
				t.Errorf("the peer has dropped %d segments for their checksum", n)
			}
		})
	}
}

// serveBulk answers each connection with the host's name, sends a bulk, takes another, and
// says what the checksum of that is.
func (p *pair) serveBulk(h *lab.Host, b bulk) {
	p.t.Helper()
	ln, err := h.Listen(p.t.Context(), "tcp", fmt.Sprintf("[::]:%d", bulkPort))
	check(p.t, err)
	p.t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(b.timeout))
				if _, err := io.WriteString(c, h.Name); err != nil {
					return
				}
				if _, err := io.CopyN(c, &pattern{}, b.size); err != nil {
					return
				}
				sum := crc32.New(crcTable)
				if _, err := io.CopyN(sum, c, b.size); err != nil {
					return
				}
				_ = binary.Write(c, binary.BigEndian, sum.Sum32())
			}()
		}
	}()
}

// crcTable is of the checksum that processors compute themselves: it costs a transfer little.
var crcTable = crc32.MakeTable(crc32.Castagnoli)

// pattern is bytes without an end, in which no two pages are alike.
type pattern struct{ n uint64 }

func (p *pattern) Read(b []byte) (int, error) {
	n := len(b) &^ 7
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], p.n*0x9e3779b97f4a7c15)
		p.n++
	}
	if n == 0 {
		return 0, io.ErrShortBuffer
	}
	return n, nil
}

// transfer moves a bulk each way over one connection, and returns whose server has served
// it.
func (p *pair) transfer(b bulk) (node string, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), b.timeout)
	defer cancel()
	c, err := p.client.Dial(ctx, "tcp", netip.AddrPortFrom(p.wire.vip(), bulkPort).String())
	if err != nil {
		return "", 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(b.timeout)); err != nil {
		return "", 0, err
	}
	name := make([]byte, len(lab.HostA))
	if _, err := io.ReadFull(c, name); err != nil {
		return "", 0, err
	}
	begun := time.Now()
	if err := b.bothWays(c); err != nil {
		return "", 0, fmt.Errorf("through %s: %w", name, err)
	}
	return string(name), time.Since(begun), nil
}

// bothWays takes a bulk and sends one.
func (b bulk) bothWays(c net.Conn) error {
	got := crc32.New(crcTable)
	if _, err := io.CopyN(got, c, b.size); err != nil {
		return fmt.Errorf("download: %w", err)
	}
	if got.Sum32() != b.sum {
		return errors.New("the download is not what was sent")
	}
	if _, err := io.CopyN(c, &pattern{}, b.size); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	var sum uint32
	if err := binary.Read(c, binary.BigEndian, &sum); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	if sum != b.sum {
		return errors.New("the upload is not what was sent")
	}
	return nil
}

// badChecksums is how many TCP segments the host has dropped for their checksum.
func (p *pair) badChecksums(h *lab.Host) (n int) {
	p.t.Helper()
	var text []byte
	check(p.t, h.Do(func() (err error) { text, err = os.ReadFile("/proc/thread-self/net/snmp"); return err }))
	lines := strings.Split(string(text), "\n")
	for i := 0; i+1 < len(lines); i++ {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) == 0 || names[0] != "Tcp:" || len(values) != len(names) {
			continue
		}
		for k, name := range names {
			if name == "InCsumErrors" {
				_, err := fmt.Sscan(values[k], &n)
				check(p.t, err)
				return n
			}
		}
	}
	p.t.Fatal("no InCsumErrors in /proc/net/snmp")
	return 0
}
