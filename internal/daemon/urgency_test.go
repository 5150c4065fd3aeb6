package daemon

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestRelax(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	before, err := os.ReadFile("/proc/self/timerslack_ns")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eachThread(func(tid int) error {
			return os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", tid), before, 0)
		})
	})
	if err := relax(); err != nil {
		t.Fatal(err)
	}
	threads := 0
	err = eachThread(func(tid int) error {
		threads++
		got, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", tid))
		if text := strings.TrimSpace(string(got)); err == nil && text != "1000000" {
			t.Errorf("thread %d has a slack of %s ns, want 1000000", tid, text)
		}
		return err
	})
	if err != nil || threads == 0 {
		t.Errorf("%d threads: %v", threads, err)
	}
}
