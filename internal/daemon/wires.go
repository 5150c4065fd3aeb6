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

// advertWires keeps a socket for each interface and family in use. Only the loop
// calls it.
type advertWires struct {
	ctx   context.Context
	post  func(context.Context, event)
	log   *slog.Logger
	conns map[wireKey]*advert.Conn
	// failures say why there is no socket where there should be one.
	failures map[wireKey]error
}

func newAdvertWires(ctx context.Context, post func(context.Context, event), log *slog.Logger) *advertWires {
	return &advertWires{ctx: ctx, post: post, log: log, conns: make(map[wireKey]*advert.Conn), failures: make(map[wireKey]error)}
}

func (w *advertWires) send(in *instance, b []byte, dst netip.Addr) error {
	conn := w.conns[wireKey{in.Interface, in.ipv6()}]
	if conn == nil {
		return fmt.Errorf("no socket on %s", in.Interface)
	}
	if mac := in.virtualMAC(); mac != nil && dst.IsMulticast() {
		return conn.SendFrom(*mac, b, in.source, dst)
	}
	return conn.Send(b, in.source, dst)
}

func (w *advertWires) trouble(in *instance) string {
	if err := w.failures[wireKey{in.Interface, in.ipv6()}]; err != nil {
		return "adverts cannot be received: " + err.Error()
	}
	return ""
}

// follow has a socket open on exactly those interfaces that are used and exist.
// An interface that was removed and made again has another index and needs a new one.
func (w *advertWires) follow(instances []*instance, links map[string]link.State) {
	used := make(map[wireKey]bool)
	for _, in := range instances {
		used[wireKey{in.Interface, in.ipv6()}] = true
	}
	for key, conn := range w.conns {
		if state, there := links[key.iface]; !used[key] || !there || state.Index != conn.Index() {
			w.close(key)
		}
	}
	for key := range used {
		if _, there := links[key.iface]; there && w.conns[key] == nil {
			w.open(key)
		}
	}
}

func (w *advertWires) open(key wireKey) {
	conn, err := advert.Open(key.iface, key.ipv6)
	if err != nil {
		w.failures[key] = err
		return
	}
	delete(w.failures, key)
	w.conns[key] = conn
	go func() {
		err := conn.Run(w.ctx, func(p vrrp.Packet) { w.post(w.ctx, packetArrived{key.iface, p}) })
		if err != nil && !errors.Is(err, net.ErrClosed) {
			w.log.Error("adverts are no longer received", "error", err)
		}
	}()
}

func (w *advertWires) close(key wireKey) {
	if err := w.conns[key].Close(); err != nil {
		w.log.Debug("close advert socket", "error", err)
	}
	delete(w.conns, key)
}
