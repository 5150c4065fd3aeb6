// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// ServerSpec says where the server listens.
type ServerSpec struct {
	Target
}

// Target is the server: an address and some consecutive ports. With several, more
// connections fit behind one translated address.
type Target struct {
	Addr  netip.Addr
	Port  uint16
	Ports int
}

// Nth is the address and port of the nth connection.
func (t Target) Nth(n uint64) netip.AddrPort {
	return netip.AddrPortFrom(t.Addr, t.Port+uint16(n%uint64(t.Ports)))
}

// Server echoes what it is sent.
type Server struct{ child *child }

// StartServer starts it on the host and returns when it listens.
func StartServer(ctx context.Context, host *lab.Host, spec ServerSpec) (*Server, error) {
	c, err := start(ctx, host, job{Server: &spec})
	if err != nil {
		return nil, err
	}
	return &Server{child: c}, nil
}

// Close ends it.
func (s *Server) Close() { s.child.close() }

// server is the child.
type server struct {
	spec ServerSpec
	// listening is closed when it does.
	listening chan struct{}
}

func newServer(spec ServerSpec) *server {
	return &server{spec: spec, listening: make(chan struct{})}
}

// backlog is how many connections may wait to be accepted: a router that comes back
// lets many in at once.
const backlog = 4096

func (s *server) run(ctx context.Context) error {
	var accepting sync.WaitGroup
	defer accepting.Wait()
	config := net.ListenConfig{KeepAlive: -1}
	for n := range s.spec.Ports {
		ln, err := config.Listen(ctx, "tcp", s.spec.Nth(uint64(n)).String())
		if err != nil {
			return err
		}
		defer ln.Close()
		if err := deepen(ln.(*net.TCPListener)); err != nil {
			return fmt.Errorf("listen backlog: %w", err)
		}
		accepting.Go(func() { accept(ln) })
	}
	close(s.listening)
	<-ctx.Done()
	return nil
}

// deepen sets the backlog: listen(2) may be called again for that.
func deepen(ln *net.TCPListener) error {
	raw, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(fd uintptr) { failure = unix.Listen(int(fd), backlog) })
	return errors.Join(err, failure)
}

func accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go echo(conn)
	}
}

// echo ends with the process, if not before.
func echo(conn net.Conn) {
	defer conn.Close()
	var buf [512]byte
	for {
		n, err := conn.Read(buf[:])
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (s *server) answer(ctx context.Context, command string) (any, error) {
	if command != cmdReady {
		return nil, fmt.Errorf("%w %q", errUnknownCommand, command)
	}
	select {
	case <-s.listening:
		return nil, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
