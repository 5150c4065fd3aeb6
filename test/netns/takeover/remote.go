// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"sync"

	"hafast/test/netns/lab"
)

// errClientGone is returned when the client process ended by itself.
var errClientGone = errors.New("the client process ended")

// remote is the client process, seen from the program that measures.
type remote struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	replies chan message
	cancel  context.CancelFunc

	mu   sync.Mutex
	last Progress
}

// startClient runs this program once more, as the client inside the host.
func startClient(ctx context.Context, host *lab.Host, s settings) (*remote, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &remote{replies: make(chan message, 1), cancel: cancel}
	r.cmd = host.Command(ctx, self)
	r.cmd.Env = append(os.Environ(), clientVariable+"="+string(text))
	r.cmd.Stderr = os.Stderr
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		cancel()
		return nil, err
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start the client: %w", err)
	}
	go r.read(stdout)
	return r, nil
}

// read sorts the client's messages until there are no more.
func (r *remote) read(stdout io.Reader) {
	defer close(r.replies)
	decoder := json.NewDecoder(bufio.NewReader(stdout))
	for {
		var m message
		if decoder.Decode(&m) != nil {
			return
		}
		if m.Progress == nil {
			// Commands are answered one by one, so there is room for the answer.
			r.replies <- m
			continue
		}
		r.mu.Lock()
		r.last = *m.Progress
		r.mu.Unlock()
	}
}

// progress returns what the client reported last.
func (r *remote) progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// ask sends a command and returns the answer.
func (r *remote) ask(ctx context.Context, command string) (message, error) {
	if _, err := io.WriteString(r.stdin, command+"\n"); err != nil {
		return message{}, fmt.Errorf("tell the client to %s: %w", command, err)
	}
	select {
	case m, ok := <-r.replies:
		if !ok {
			return m, fmt.Errorf("tell the client to %s: %w", command, errClientGone)
		}
		return m, nil
	case <-ctx.Done():
		return message{}, fmt.Errorf("tell the client to %s: %w", command, context.Cause(ctx))
	}
}

// rest ends the heartbeats of the held connections and returns those that stand, by
// the client's address and port.
func (r *remote) rest(ctx context.Context) ([]netip.AddrPort, error) { return r.held(ctx, cmdRest) }

// list is rest without an end of the heartbeats.
func (r *remote) list(ctx context.Context) ([]netip.AddrPort, error) { return r.held(ctx, cmdList) }

func (r *remote) held(ctx context.Context, command string) ([]netip.AddrPort, error) {
	m, err := r.ask(ctx, command)
	if err != nil {
		return nil, err
	}
	if m.Standing == nil {
		return nil, fmt.Errorf("unexpected answer to %s", command)
	}
	return m.Standing.Held, nil
}

// probe returns the held connections that survived.
func (r *remote) probe(ctx context.Context) ([]netip.AddrPort, error) {
	m, err := r.ask(ctx, cmdProbe)
	if err != nil {
		return nil, err
	}
	if m.Probed == nil {
		return nil, fmt.Errorf("unexpected answer to %s", cmdProbe)
	}
	return m.Probed.Survivors, nil
}

// stop ends the load and returns all attempts.
func (r *remote) stop(ctx context.Context) ([]Attempt, error) {
	m, err := r.ask(ctx, cmdStop)
	if err != nil {
		return nil, err
	}
	if m.Report == nil {
		return nil, fmt.Errorf("unexpected answer to %s", cmdStop)
	}
	return *m.Report, nil
}

// close ends the process, if it has not ended by itself, and waits for it.
func (r *remote) close() {
	r.cancel()
	_ = r.stdin.Close()
	// Unread answers would keep the reader, and with it the pipe, from its end.
	for range r.replies {
	}
	_ = r.cmd.Wait()
}
