// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"strings"
	"testing"
)

func TestRelaxTimers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	before, err := os.ReadFile(slackFile(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eachThread(func(tid int) error { return os.WriteFile(slackFile(tid), before, 0) })
	})
	if err := RelaxTimers(); err != nil {
		t.Fatal(err)
	}
	threads := 0
	err = eachThread(func(tid int) error {
		threads++
		got, err := os.ReadFile(slackFile(tid))
		if text := strings.TrimSpace(string(got)); err == nil && text != "1000000" {
			t.Errorf("thread %d has a slack of %s ns, want 1000000", tid, text)
		}
		return err
	})
	if err != nil || threads == 0 {
		t.Errorf("%d threads: %v", threads, err)
	}
}
