package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
)

// echoPort is where the web host echoes what it is sent.
const echoPort = 7000

// PageText is what the page of the web host holds.
const PageText = "hello from the web host\n"

// startWeb starts nginx and the echo server on the web host.
func (l *Lab) startWeb(ctx context.Context) error {
	web := l.Web()
	if err := l.startEcho(ctx, web); err != nil {
		return fmt.Errorf("echo server: %w", err)
	}
	config := web.Path("nginx.conf")
	if err := render(config, "nginx.conf", map[string]any{"Dir": web.Dir}); err != nil {
		return err
	}
	p, err := web.Start("nginx", "nginx", "-p", web.Dir, "-c", config, "-e", web.Path("nginx-error.log"))
	if err != nil {
		return err
	}
	if err := web.awaitListener(ctx, p, 80); err != nil {
		return fmt.Errorf("%w; it says: %s", err, p.Log())
	}
	return nil
}

// startEcho serves echo on the web host from within this process: only the
// listening socket has to be made in the namespace.
func (l *Lab) startEcho(ctx context.Context, web *Host) error {
	ln, err := web.Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(echoPort)))
	if err != nil {
		return err
	}
	var (
		mu     sync.Mutex
		closed bool
		conns  = make(map[net.Conn]struct{})
		wg     sync.WaitGroup
	)
	serve := func(conn net.Conn) {
		defer wg.Done()
		_, _ = io.Copy(conn, struct{ io.Reader }{conn})
		_ = conn.Close()
		mu.Lock()
		delete(conns, conn)
		mu.Unlock()
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if closed {
				mu.Unlock()
				_ = conn.Close()
				return
			}
			conns[conn] = struct{}{}
			wg.Add(1)
			mu.Unlock()
			go serve(conn)
		}
	}()
	l.onClose(func() error {
		err := ln.Close()
		mu.Lock()
		closed = true
		for conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		wg.Wait()
		return err
	})
	return nil
}

// awaitListener waits until something listens on the port of the host, or p
// has died.
func (h *Host) awaitListener(ctx context.Context, p *Proc, port uint16) error {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port).String()
	err := Eventually(ctx, "a listener on "+addr, func() bool {
		if p.Exited() {
			return true
		}
		conn, err := h.Dial(ctx, "tcp4", addr)
		if err != nil {
			return false
		}
		// Leave no connection in TIME_WAIT.
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		return true
	})
	if err == nil && p.Exited() {
		return fmt.Errorf("%s exited: %w", p.Name, p.Err())
	}
	return err
}

// writeExecutable writes a program that the lab's processes can run.
func writeExecutable(path, text string) error { return os.WriteFile(path, []byte(text), 0o755) }
