package daemon

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const realtimeChild = "HAFAST_TEST_REALTIME"

// A defect that keeps the daemon busy must not take the host with it.
func TestRealtimeIsGivenUpByABusyDaemon(t *testing.T) {
	if os.Getenv(realtimeChild) != "" {
		spinUnderRealtime()
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("real-time scheduling needs root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), realtimeChild+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
	}
	if err := child.Wait(); err != nil {
		t.Fatalf("child: %v, after saying %q", err, said)
	}
	if got := strings.Join(said, "\n"); !strings.HasPrefix(got, "real-time\nnormal\n") {
		t.Errorf("child said %q, want real-time and then normal", got)
	}
}

// spinUnderRealtime is busy until it is an ordinary process again.
func spinUnderRealtime() {
	if err := goRealtime(); err != nil {
		fmt.Println(err)
		return
	}
	guarded := make(chan struct{})
	go func() {
		defer close(guarded)
		guardRealtime(context.Background(), slog.New(slog.DiscardHandler))
	}()
	policy := func() uint32 {
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			panic(err)
		}
		return attr.Policy
	}
	if policy() == unix.SCHED_RR {
		fmt.Println("real-time")
	}
	for policy() == unix.SCHED_RR {
		for until := time.Now().Add(10 * time.Millisecond); time.Now().Before(until); {
		}
	}
	<-guarded
	if policy() == unix.SCHED_NORMAL {
		fmt.Println("normal")
	}
}
