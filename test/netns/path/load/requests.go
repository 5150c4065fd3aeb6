// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// patience is how long an answer may take.
	patience = 2 * time.Second
	// pauseAfterFailure keeps a client from spinning where nobody serves it.
	pauseAfterFailure = 5 * time.Millisecond
)

// errBadAnswer is returned for an answer that is not the page.
var errBadAnswer = errors.New("not the page")

// sendRequests keeps the connections busy, each with one request at a time, until
// the end of ctx.
func (s Spec) sendRequests(ctx context.Context, c *counter) error {
	var wg sync.WaitGroup
	for range s.Parallel {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := s.converse(ctx, c); err != nil && ctx.Err() == nil {
					c.failed.Add(1)
					time.Sleep(pauseAfterFailure)
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// converse opens a connection and asks over it as often as the load wants.
func (s Spec) converse(ctx context.Context, c *counter) error {
	conn, err := (&net.Dialer{Timeout: patience, KeepAlive: -1}).DialContext(ctx, "tcp", s.Target.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	// The reset instead of a FIN leaves neither side in TIME_WAIT.
	_ = conn.(*net.TCPConn).SetLinger(0)
	requests, option := s.Renew, ""
	if s.Kind == Connections {
		requests, option = 1, "Connection: close\r\n"
	}
	request := fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n", s.Target, option)
	in := bufio.NewReaderSize(conn, 1024)
	for n := 0; ctx.Err() == nil && (requests == 0 || n < requests); n++ {
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := conn.Write(request); err != nil {
			return err
		}
		if err := readAnswer(in); err != nil {
			return err
		}
		c.ok.Add(1)
	}
	return nil
}

// readAnswer reads one answer to its end. It knows as much HTTP as the lab's web
// server speaks.
func readAnswer(in *bufio.Reader) error {
	status, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(status), "HTTP/1.1 200 ") {
		return fmt.Errorf("%w: %q", errBadAnswer, status)
	}
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			break
		}
		key, value, _ := strings.Cut(text, ":")
		if strings.EqualFold(key, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return fmt.Errorf("%w: %w", errBadAnswer, err)
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("%w: no length", errBadAnswer)
	}
	_, err = io.CopyN(io.Discard, in, int64(length))
	return err
}
