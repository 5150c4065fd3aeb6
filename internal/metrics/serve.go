// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"hafast/internal/serve"
)

const (
	maxConns     = 32
	maxHeader    = 16 << 10
	readTimeout  = 5 * time.Second
	writeTimeout = scrapeTimeout + 5*time.Second
)

// Listen opens the address that Serve answers on. The errors people meet say
// what to change.
func Listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("metrics: %s is in use by another process; stop it ('ss -ltnp' names it) or choose another metrics.listen: %w", addr, syscall.EADDRINUSE)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("metrics: %s is not an address of this host; choose another metrics.listen: %w", addr, syscall.EADDRNOTAVAIL)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("metrics: %s needs more privileges; choose a port above 1023 for metrics.listen: %w", addr, syscall.EACCES)
	default:
		return nil, fmt.Errorf("metrics: listen on %s: %w; metrics.listen wants address:port, such as 127.0.0.1:9405", addr, err)
	}
}

// Serve answers /metrics and /healthz on ln until ctx is done, then closes ln
// and returns nil. An error means that ln failed. /healthz answers 200, or 503
// with the error of healthy; a nil healthy always is.
func (m *Metrics) Serve(ctx context.Context, ln net.Listener, healthy func() error) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if healthy != nil {
			if err := healthy(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       2 * time.Minute, // Above the usual scrape interval.
		MaxHeaderBytes:    maxHeader,
	}
	if err := serve.HTTP(ctx, srv, ln, maxConns); err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
