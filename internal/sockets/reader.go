// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// ErrNoDiagnostics is returned where the kernel cannot list its sockets.
	ErrNoDiagnostics = errors.New("the kernel has no socket diagnostics")
	// ErrNoAccess is returned where haproxy's descriptors may not be read.
	ErrNoAccess = errors.New("haproxy's descriptors may not be read")
)

// Reader reads sockets. It is safe for concurrent use; requests are served one
// after another.
type Reader struct {
	mu     sync.Mutex
	diag   *diag
	owners *owners
	noUDP  error
}

// Open returns a Reader of the calling thread's network namespace, which must be
// haproxy's. It asks for nothing but an answer yet: ErrNoDiagnostics if the kernel
// has none about TCP.
func Open() (*Reader, error) {
	d, err := openDiag()
	if err != nil {
		return nil, err
	}
	none := func(record) {}
	r := &Reader{diag: d, owners: newOwners("/proc")}
	if err := d.dump(unix.AF_INET, unix.IPPROTO_TCP, listening, none); err != nil {
		_ = d.close()
		return nil, explain(err, "tcp_diag")
	}
	if err := d.dump(unix.AF_INET, unix.IPPROTO_UDP, unconnected, none); err != nil {
		r.noUDP = explain(err, "udp_diag")
	}
	return r, nil
}

// explain names the module that answers.
func explain(err error, module string) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return fmt.Errorf("%w: load the module %s, or write services: by hand", ErrNoDiagnostics, module)
	}
	return err
}

// Limits is nil, or says why QUIC services are not seen: ErrNoDiagnostics where the
// kernel tells of TCP sockets only.
func (r *Reader) Limits() error { return r.noUDP }

// Close releases the socket.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.diag.close()
}

// Listening returns the services that the processes with these pids, and their
// descendants, serve on the VIPs: sorted, none twice, at most as many as haproxy
// has listeners times the number of VIPs. Pids that do not run are passed over.
// ErrNoAccess where a process's descriptors may not be read.
func (r *Reader) Listening(pids []int, vips []netip.Addr) ([]Service, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ours := newAddresses(vips)
	var tcps, udps []record
	ports := make(map[uint16]bool)
	err := r.diag.dumpBoth(unix.IPPROTO_TCP, listening, func(rec record) {
		if ours.serves(rec) {
			tcps = append(tcps, rec)
			ports[rec.local.Port()] = true
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list TCP listeners: %w", err)
	}
	if r.noUDP == nil {
		err := r.diag.dumpBoth(unix.IPPROTO_UDP, unconnected, func(rec record) {
			// The ports spare us asking whose all the wildcard sockets are.
			if ours.serves(rec) && (!rec.local.Addr().IsUnspecified() || ports[rec.local.Port()]) {
				udps = append(udps, rec)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list UDP sockets: %w", err)
		}
	}
	own, err := r.owners.of(pids, time.Now(), tcps, udps)
	if err != nil {
		return nil, err
	}
	return services(ours, own(tcps), own(udps)), nil
}

// Established counts the TCP connections that have a VIP as their local address and
// are open, by whichever process: between the end of the handshake and TIME_WAIT.
// A connection that haproxy has closed and the client has not (FIN_WAIT2 without
// a process) does not count: nothing more is served on it. One that haproxy has
// opened towards a server from a VIP (its keyword source) does, as the kernel does
// not tell who called whom.
//
// It keeps no socket: about 1.2 us of CPU for each connection of the host.
func (r *Reader) Established(vips []netip.Addr) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ours := newAddresses(vips)
	n := 0
	err := r.diag.dumpBoth(unix.IPPROTO_TCP, open, func(rec record) {
		if !rec.minimal && ours.all[rec.local.Addr()] {
			n++
		}
	})
	if err != nil {
		return 0, fmt.Errorf("count connections: %w", err)
	}
	return n, nil
}
