package wires_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"hafast/test/netns/lab"
)

const (
	bulkPort = 9000
	// bulkSize is what is moved each way, in bytes. HAFAST_BULK_MB says otherwise.
	bulkSize = 32 << 20
	// bulkPatience bounds a transfer.
	bulkPatience = 5 * time.Minute
)

// bulkWires are those on which large frames are made or taken apart on the way.
func bulkWires() []wire {
	names := []string{"network card", "container", "checksums left to the wire", "MTU 9000", "bridge"}
	var out []wire
	for _, w := range wires() {
		for _, name := range names {
			if w.name == name {
				w.config += fmt.Sprintf("services: [{vip: %s, port: %d, proto: tcp}, {vip: %s, port: %d, proto: tcp}]\n", w.address(), port, w.address(), bulkPort)
				out = append(out, w)
			}
		}
	}
	return append(out, with(out[0], func(w *wire) { w.name, w.config = "network card, native", w.config+"xdp: native\n" }))
}

// address is the wire's VIP.
func (w wire) address() netip.Addr {
	if w.vip.IsValid() {
		return w.vip
	}
	return lab.VIP
}

// TestBulk moves a lot through the Active to the peer's server and back: what arrives is
// what was sent, with no packet in between whose checksum did not hold.
func TestBulk(t *testing.T) {
	for _, w := range bulkWires() {
		t.Run(w.name, func(t *testing.T) {
			p := newPair(t, w)
			for _, h := range []*lab.Host{p.a, p.b} {
				p.serveBulk(h)
			}
			p.start()
			p.shared(p.a, lab.HostA, lab.HostB)
			before := p.badChecksums(p.b)
			speed := make(map[string]float64)
			for len(speed) < 2 {
				node, took, err := p.bulk()
				check(t, err)
				speed[node] = 2 * bulkSize / took.Seconds() / 1e6
			}
			t.Logf("%d MB each way: by this host's server %.0f MB/s, by the peer's %.0f MB/s", bulkSize>>20, speed[lab.HostA], speed[lab.HostB])
			if n := p.badChecksums(p.b) - before; n != 0 {
				t.Errorf("the peer has dropped %d segments for their checksum", n)
			}
		})
	}
}

// serveBulk answers each connection with the host's name, sends bulkSize bytes, takes as
// many, and says what their checksum is.
func (p *pair) serveBulk(h *lab.Host) {
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
				_ = c.SetDeadline(time.Now().Add(bulkPatience))
				if _, err := io.WriteString(c, h.Name); err != nil {
					return
				}
				if _, err := io.CopyN(c, &pattern{}, bulkSize); err != nil {
					return
				}
				sum := crc64.New(crcTable)
				if _, err := io.CopyN(sum, c, bulkSize); err != nil {
					return
				}
				_ = binary.Write(c, binary.BigEndian, sum.Sum64())
			}()
		}
	}()
}

var crcTable = crc64.MakeTable(crc64.ECMA)

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

// bulk moves bulkSize bytes each way over one connection, and returns whose server has
// served it.
func (p *pair) bulk() (node string, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), bulkPatience)
	defer cancel()
	c, err := p.client.Dial(ctx, "tcp", netip.AddrPortFrom(p.wire.vip, bulkPort).String())
	if err != nil {
		return "", 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(bulkPatience)); err != nil {
		return "", 0, err
	}
	name := make([]byte, len(lab.HostA))
	if _, err := io.ReadFull(c, name); err != nil {
		return "", 0, err
	}
	begun := time.Now()
	if err := bothWays(c); err != nil {
		return "", 0, fmt.Errorf("through %s: %w", name, err)
	}
	return string(name), time.Since(begun), nil
}

func bothWays(c net.Conn) error {
	want, got := crc64.New(crcTable), crc64.New(crcTable)
	if _, err := io.CopyN(want, &pattern{}, bulkSize); err != nil {
		return err
	}
	if _, err := io.CopyN(got, c, bulkSize); err != nil {
		return fmt.Errorf("download: %w", err)
	}
	if want.Sum64() != got.Sum64() {
		return errors.New("the download is not what was sent")
	}
	if _, err := io.CopyN(c, &pattern{}, bulkSize); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	var sum uint64
	if err := binary.Read(c, binary.BigEndian, &sum); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	if sum != want.Sum64() {
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
