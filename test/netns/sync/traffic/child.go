// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// variable holds the child's job, and by its presence makes the program a child.
const variable = "HAFAST_SYNC_TRAFFIC"

var (
	// errGone is returned when the process ended by itself.
	errGone = errors.New("the process ended")
	// errUnknownCommand is the answer to what a child does not understand.
	errUnknownCommand = errors.New("unknown command")
)

// job is what a child is to do. Exactly one field is set.
type job struct {
	Server *ServerSpec `json:"server,omitempty"`
	Load   *LoadSpec   `json:"load,omitempty"`
	Held   *HeldSpec   `json:"held,omitempty"`
}

// reply is a line of the child's standard output.
type reply struct {
	Answer json.RawMessage `json:"answer,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// worker does a job until its context ends. It answers "ready" when it is.
type worker interface {
	run(ctx context.Context) error
	answer(ctx context.Context, command string) (any, error)
}

// cmdReady is answered once the worker does what it is for.
const cmdReady = "ready"

// child is the process, seen from the program that measures.
type child struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	replies chan reply
	cancel  context.CancelFunc
}

// start runs this program once more, inside the host, and waits until it is ready.
func start(ctx context.Context, host *lab.Host, j job) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	// The process lives until close, whatever the time for its start.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &child{replies: make(chan reply, 1), cancel: cancel}
	c.cmd = host.Command(life, self)
	c.cmd.Env = append(os.Environ(), variable+"="+string(text))
	c.cmd.Stderr = os.Stderr
	stdin, errIn := c.cmd.StdinPipe()
	stdout, errOut := c.cmd.StdoutPipe()
	c.stdin = stdin
	if err := errors.Join(errIn, errOut); err != nil {
		cancel()
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start the traffic on %s: %w", host.Name, err)
	}
	go c.read(stdout)
	if err := c.ask(ctx, cmdReady, nil); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// read passes the child's replies on until there are no more.
func (c *child) read(stdout io.Reader) {
	defer close(c.replies)
	for decoder := json.NewDecoder(bufio.NewReader(stdout)); ; {
		var r reply
		if decoder.Decode(&r) != nil {
			return
		}
		// Commands are answered one by one, so there is room for the answer.
		c.replies <- r
	}
}

// ask sends a command and reads the answer into it, if that is not nil.
func (c *child) ask(ctx context.Context, command string, into any) error {
	if _, err := io.WriteString(c.stdin, command+"\n"); err != nil {
		return fmt.Errorf("tell the traffic to %s: %w", command, err)
	}
	select {
	case r, ok := <-c.replies:
		switch {
		case !ok:
			return fmt.Errorf("tell the traffic to %s: %w", command, errGone)
		case r.Error != "":
			return fmt.Errorf("tell the traffic to %s: it says %q", command, r.Error)
		case into == nil:
			return nil
		}
		return json.Unmarshal(r.Answer, into)
	case <-ctx.Done():
		return fmt.Errorf("tell the traffic to %s: %w", command, context.Cause(ctx))
	}
}

// close ends the process, if it has not ended by itself, and waits for it.
func (c *child) close() {
	c.cancel()
	_ = c.stdin.Close()
	// Unread answers would keep the reader, and with it the pipe, from its end.
	for range c.replies {
	}
	_ = c.cmd.Wait()
}

// Main turns the calling program into a child and ends it, if it was started as one;
// otherwise it does nothing. Call it before anything else.
func Main() {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	// A signal to the whole terminal is for the program that is in charge of clean-up.
	signal.Ignore(unix.SIGINT)
	if err := runChild(text); err != nil {
		fmt.Fprintln(os.Stderr, "traffic:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runChild(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	w, err := j.worker()
	if err != nil {
		return err
	}
	return obey(context.Background(), w, os.Stdin, os.Stdout)
}

func (j job) worker() (worker, error) {
	switch {
	case j.Server != nil:
		return newServer(*j.Server), nil
	case j.Load != nil:
		return newLoad(*j.Load), nil
	case j.Held != nil:
		return newHeld(*j.Held), nil
	default:
		return nil, errors.New("no job")
	}
}

// obey runs the worker and answers commands, a line each, until there are no more.
func obey(ctx context.Context, w worker, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() {
		err := w.run(ctx)
		cancel(err)
		ended <- err
	}()
	encoder := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var r reply
		answer, err := w.answer(ctx, lines.Text())
		if err == nil {
			r.Answer, err = json.Marshal(answer)
		}
		if err != nil {
			r.Error = err.Error()
		}
		if err := encoder.Encode(r); err != nil {
			return err
		}
		if ctx.Err() != nil {
			break
		}
	}
	cancel(nil)
	return <-ended
}
