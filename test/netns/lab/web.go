// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// PageText is what the page of the web host holds.
const PageText = "hello from the web host\n"

// startWeb starts nginx and the echo server on the web host.
func (l *Lab) startWeb(ctx context.Context) error {
	web := l.Web()
	var err error
	if l.echo, err = startEcho(ctx, web); err != nil {
		return fmt.Errorf("echo server: %w", err)
	}
	l.onClose(l.echo.close)
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
	l.nginx = p
	return nil
}

// WebServer is nginx, with its workers in one process group.
func (l *Lab) WebServer() *Proc { return l.nginx }

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
