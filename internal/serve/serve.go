// SPDX-License-Identifier: Apache-2.0

// Package serve runs an HTTP server for as long as a context lives: the control
// socket's and the metrics'.
package serve

import (
	"context"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// grace is what requests in progress get when the context ends.
const grace = time.Second

// HTTP answers on ln, with at most conns connections at a time, until ctx is
// done; then it gives requests a second to finish, closes ln and returns nil. An
// error means that ln failed.
func HTTP(ctx context.Context, srv *http.Server, ln net.Listener, conns int) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if srv.Shutdown(last) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(netutil.LimitListener(ln, conns))
	if stop() {
		// ctx lives on, so the listener failed by itself.
		_ = srv.Close()
		return err
	}
	<-stopped
	return nil
}
