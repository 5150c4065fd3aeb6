// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"hafast/internal/advert"
	"hafast/internal/link"
	"hafast/pkg/vrrp"
)

// wireKey is what instances share a socket by.
type wireKey struct {
	iface string
	ipv6  bool
}

// advertConn is the part of advert.Conn that is needed here.
type advertConn interface {
	Send(b []byte, src, dst netip.Addr) error
	SendFrom(mac [6]byte, b []byte, src, dst netip.Addr) error
	Run(ctx context.Context, report func(vrrp.Packet)) error
	Index() int
	Close() error
}

// wireOpened is what has come of opening a socket.
type wireOpened struct {
	key  wireKey
	conn advertConn
	err  error
}

// advertWires keeps a socket for each interface and family in use. Only the loop calls
// it. Sockets are opened and closed by goroutines of their own: to close one may wait for
// the kernel's grace period, and to open one for the locks of whoever changes interfaces.
type advertWires struct {
	ctx   context.Context
	post  func(context.Context, event)
	log   *slog.Logger
	open  func(key wireKey) (advertConn, error)
	conns map[wireKey]advertConn
	// failures say why there is no socket where there should be one.
	failures map[wireKey]error
	// wanted are the sockets that there should be, by the index of the interface, and
	// opening are those that are being opened, by the index that was wanted then.
	wanted, opening map[wireKey]int
}

func newAdvertWires(ctx context.Context, post func(context.Context, event), log *slog.Logger) *advertWires {
	return &advertWires{
		ctx: ctx, post: post, log: log,
		open: func(key wireKey) (advertConn, error) {
			conn, err := advert.Open(key.iface, key.ipv6)
			if err != nil {
				return nil, err // a nil *advert.Conn would be no nil advertConn
			}
			return conn, nil
		},
		conns: make(map[wireKey]advertConn), failures: make(map[wireKey]error),
		wanted: make(map[wireKey]int), opening: make(map[wireKey]int),
	}
}

func (w *advertWires) send(in *instance, b []byte, dst netip.Addr) error {
	conn := w.conns[in.wire()]
	if conn == nil {
		return fmt.Errorf("no socket on %s", in.Interface)
	}
	if mac := in.virtualMAC(); mac != nil && dst.IsMulticast() {
		return conn.SendFrom(*mac, b, in.source, dst)
	}
	return conn.Send(b, in.source, dst)
}

// wire is the socket that an instance uses.
func (in *instance) wire() wireKey { return wireKey{in.Interface, in.ipv6()} }

func (w *advertWires) pending(in *instance) bool {
	_, opening := w.opening[in.wire()]
	return opening
}

func (w *advertWires) trouble(in *instance) string {
	if err := w.failures[in.wire()]; err != nil {
		return "adverts cannot be received: " + err.Error()
	}
	return ""
}

// start is follow before the loop runs: all sockets are open when it returns.
func (w *advertWires) start(instances []*instance, links map[string]link.State) {
	for _, key := range w.want(instances, links) {
		ev := w.dial(key)
		w.opened(ev)
		go w.receive(ev)
	}
}

// follow has a socket open on exactly those interfaces that are used and exist. Those that
// are new are reported by wireOpened.
func (w *advertWires) follow(instances []*instance, links map[string]link.State) {
	for _, key := range w.want(instances, links) {
		w.reopen(key)
	}
}

// want closes the sockets that are not wanted any more, and returns those that are to be
// opened. An interface that was removed and made again has another index and needs a new
// one.
func (w *advertWires) want(instances []*instance, links map[string]link.State) (missing []wireKey) {
	clear(w.wanted)
	for _, in := range instances {
		if state, there := links[in.Interface]; there {
			w.wanted[in.wire()] = state.Index
		}
	}
	for key, conn := range w.conns {
		if index, wanted := w.wanted[key]; !wanted || index != conn.Index() {
			w.close(key.iface, conn)
			delete(w.conns, key)
		}
	}
	for key := range w.wanted {
		if _, opening := w.opening[key]; !opening && w.conns[key] == nil {
			missing = append(missing, key)
		}
	}
	return missing
}

// reopen opens a socket in the background, and then receives from it.
func (w *advertWires) reopen(key wireKey) {
	w.opening[key] = w.wanted[key]
	go func() {
		ev := w.dial(key)
		w.post(w.ctx, ev) // before the first packet from there
		w.receive(ev)
	}()
}

func (w *advertWires) dial(key wireKey) wireOpened {
	conn, err := w.open(key)
	return wireOpened{key, conn, err}
}

// opened takes in a socket, unless it is not wanted any more.
func (w *advertWires) opened(ev wireOpened) {
	asked, reopened := w.opening[ev.key]
	delete(w.opening, ev.key)
	index, wanted := w.wanted[ev.key]
	delete(w.failures, ev.key)
	moved := reopened && asked != index // the interface was made anew meanwhile
	switch {
	case ev.err != nil && wanted && moved:
		w.reopen(ev.key)
	case ev.err != nil && wanted:
		w.failures[ev.key] = ev.err
	case ev.err != nil:
	case !wanted:
		w.close(ev.key.iface, ev.conn)
	case moved && ev.conn.Index() != index:
		w.close(ev.key.iface, ev.conn)
		w.reopen(ev.key)
	default:
		w.conns[ev.key] = ev.conn
	}
}

// receive reports what arrives until the socket is closed.
func (w *advertWires) receive(ev wireOpened) {
	if ev.err != nil {
		return
	}
	err := ev.conn.Run(w.ctx, func(p vrrp.Packet) { w.post(w.ctx, packetArrived{ev.key.iface, p}) })
	if err != nil && !errors.Is(err, net.ErrClosed) {
		w.log.Error("adverts are no longer received", "interface", ev.key.iface, "error", err)
	}
}

func (w *advertWires) close(iface string, conn advertConn) {
	go func() {
		if err := conn.Close(); err != nil {
			w.log.Debug("close advert socket", "interface", iface, "error", err)
		}
	}()
}
