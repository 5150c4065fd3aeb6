// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
)

// echoPort is where the web host echoes what it is sent, after a header.
const echoPort = 7000

// errNoHeader is the end of a connection that does not say whose it is.
var errNoHeader = errors.New("no PROXY header")

// echoServer echoes what clients send through a haproxy, and knows which haproxy
// each of them came through.
//
// Haproxy says in a PROXY header (haproxy's doc/proxy-protocol.txt, version 1) who
// its client is, and the connection itself says which haproxy that was. So nothing
// needs to be asked of the haproxies, nor of the system under test.
type echoServer struct {
	ln net.Listener
	wg sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	// servedBy names the haproxy of each client that has a connection.
	servedBy map[netip.AddrPort]netip.Addr
}

// startEcho serves on the web host from within this process: only the listening
// socket has to be made in the namespace.
func startEcho(ctx context.Context, web *Host) (*echoServer, error) {
	ln, err := web.Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(echoPort)))
	if err != nil {
		return nil, err
	}
	s := &echoServer{ln: ln, conns: make(map[net.Conn]struct{}), servedBy: make(map[netip.AddrPort]netip.Addr)}
	s.wg.Go(s.accept)
	return s, nil
}

func (s *echoServer) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = conn.Close()
			return
		}
		s.conns[conn] = struct{}{}
		s.wg.Go(func() { s.serve(conn) })
		s.mu.Unlock()
	}
}

func (s *echoServer) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	in := bufio.NewReader(conn)
	client, err := readProxyHeader(in)
	if err != nil {
		return
	}
	haproxy := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	s.mu.Lock()
	s.servedBy[client] = haproxy
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		// The client's port may have come to another haproxy meanwhile.
		if s.servedBy[client] == haproxy {
			delete(s.servedBy, client)
		}
	}()
	_, _ = io.Copy(conn, in)
}

// readProxyHeader reads the client's address from a line such as
// "PROXY TCP4 10.0.0.1 10.0.0.2 56324 443".
func readProxyHeader(in *bufio.Reader) (netip.AddrPort, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return netip.AddrPort{}, err
	}
	fields := strings.Fields(line)
	if len(fields) != 6 || fields[0] != "PROXY" {
		return netip.AddrPort{}, fmt.Errorf("%w in %q", errNoHeader, line)
	}
	return netip.ParseAddrPort(net.JoinHostPort(fields[2], fields[4]))
}

// close ends all connections and returns when nothing of the server runs.
func (s *echoServer) close() error {
	err := s.ln.Close()
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

// ServedBy returns the host whose haproxy serves a client's connection to HeldPort,
// by the client's own address and port, or nil if there is no such connection.
func (l *Lab) ServedBy(client netip.AddrPort) *Host {
	l.echo.mu.Lock()
	addr := l.echo.servedBy[client]
	l.echo.mu.Unlock()
	for _, h := range l.hosts {
		if addr.IsValid() && (h.Addr == addr || h.Addr6 == addr) {
			return h
		}
	}
	return nil
}
