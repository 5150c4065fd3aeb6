// SPDX-License-Identifier: Apache-2.0

package wires_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// answerTimeout is how long a request may take: longer than a SYN that is sent again once.
const answerTimeout = 10 * time.Second

// conn is a connection through the VIP.
type conn struct {
	net.Conn
	reader *bufio.Reader
	// node is the host whose haproxy has it.
	node string
}

// dial opens one to a VIP and has a first request answered.
func (p *pair) dial(ctx context.Context, vip netip.Addr) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	raw, err := p.client.Dial(ctx, "tcp", netip.AddrPortFrom(vip, port).String())
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, reader: bufio.NewReader(raw)}
	if c.node, err = c.ask(); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return c, nil
}

// ask sends a request and returns the name of the host that answers.
func (c *conn) ask() (string, error) {
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: vip\r\n\r\n"); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// tally is what came of new connections.
type tally struct {
	nodes  map[string]int
	failed []error
}

func (t tally) String() string {
	text := fmt.Sprintf("%v answered", t.nodes)
	if len(t.failed) > 0 {
		text += fmt.Sprintf(", %d failed, the first: %v", len(t.failed), t.failed[0])
	}
	return text
}

// fresh opens so many new connections to a VIP, some at a time, and closes them again.
func (p *pair) fresh(vip netip.Addr, n int) tally {
	p.t.Helper()
	out := tally{nodes: make(map[string]int)}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for range n / workers {
				c, err := p.dial(p.t.Context(), vip)
				mu.Lock()
				if err != nil {
					out.failed = append(out.failed, fmt.Errorf("worker %d: %w", worker, err))
				} else {
					out.nodes[c.node]++
				}
				mu.Unlock()
				if err == nil {
					_ = c.Close()
				}
			}
		})
	}
	wg.Wait()
	return out
}

// workers open connections at the same time.
const workers = 4

// hold opens so many connections to each VIP, which stay.
func (p *pair) hold(n int) (held []*conn) {
	p.t.Helper()
	for _, network := range p.wire.networks {
		for range n {
			c, err := p.dial(p.t.Context(), network.vip)
			check(p.t, err)
			p.t.Cleanup(func() { _ = c.Close() })
			held = append(held, c)
		}
	}
	return held
}

// asked asks each again, and returns how many of each node's still are where they were. All
// are asked at once: one that is lost takes answerTimeout.
func asked(held []*conn) (alive, lost map[string]int) {
	alive, lost = make(map[string]int), make(map[string]int)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, c := range held {
		wg.Go(func() {
			node, err := c.ask()
			mu.Lock()
			defer mu.Unlock()
			if err == nil && node == c.node {
				alive[c.node]++
			} else {
				lost[c.node]++
			}
		})
	}
	wg.Wait()
	return alive, lost
}
