// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// give puts the virtual addresses on a router, as a daemon does, and takes them off
// the other if there is one.
func give(t *testing.T, to, from *Host) {
	t.Helper()
	err := errors.Join(to.AddAddr(Interface, Gateway), to.AddAddr(OutsideInterface, NATAddress))
	if from != nil {
		err = errors.Join(err, from.DelAddr(Interface, Gateway), from.DelAddr(OutsideInterface, NATAddress))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// exchangeByte sends a byte and waits for it to come back, for a moment.
func exchangeByte(conn net.Conn) error {
	buf := []byte{'x'}
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write(buf); err != nil {
		return err
	}
	_, err := conn.Read(buf)
	return err
}

// TestRouters translates a connection and drops it where it is not known.
func TestRouters(t *testing.T) {
	r := RoutersForTest(t)
	a, b := r.Pair()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ln, err := r.Web().Listen(ctx, "tcp", net.JoinHostPort(r.Web().Addr.String(), "7000"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	from := make(chan string, 10)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			from <- host
			go func() {
				defer conn.Close()
				buf := make([]byte, 1)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write(buf); err != nil {
						return
					}
				}
			}()
		}
	}()

	give(t, a, nil)
	conn, err := r.Client().Dial(ctx, "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := exchangeByte(conn); err != nil {
		t.Fatal(err)
	}
	if got := <-from; got != NATAddress.Addr().String() {
		t.Errorf("the server saw %s, want %s", got, NATAddress.Addr())
	}
	if n, err := a.ConntrackCount(); err != nil || n == 0 {
		t.Errorf("the router knows %d connections, %v", n, err)
	}

	give(t, b, a)
	for _, h := range []*Host{r.Client(), r.Web()} {
		if err := h.FlushNeighbours(); err != nil {
			t.Fatal(err)
		}
	}
	if err := exchangeByte(conn); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a router that does not know the connection let it through: %v", err)
	}
	fresh, err := r.Client().Dial(ctx, "tcp", ln.Addr().String())
	if err != nil {
		t.Fatalf("the other router: %v", err)
	}
	defer fresh.Close()
	if err := b.SilentDeath(); err != nil {
		t.Fatal(err)
	}
	if err := exchangeByte(fresh); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a dead router let something through: %v", err)
	}
}

func TestParseExternalCount(t *testing.T) {
	const text = "cache internal:\ncurrent active connections:\t\t  8098\n\n" +
		"cache external:\ncurrent active connections:\t\t  7849\nconnections created:\t\t 9\tfailed:\t 0\n"
	if got, err := parseExternalCount(text); err != nil || got != 7849 {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := parseExternalCount("cache internal:\ncurrent active connections:\t1\n"); !errors.Is(err, errNoCount) {
		t.Errorf("statistics without the cache: %v", err)
	}
}

func TestParsePSS(t *testing.T) {
	got, err := parsePSS([]byte("55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  900 kB\nPss:  12 kB\nPss_Dirty:  4 kB\n"))
	if err != nil || got != 12<<10 {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := parsePSS([]byte("Rss:  900 kB\n")); !errors.Is(err, errNoPSS) {
		t.Errorf("a map without it: %v", err)
	}
}
