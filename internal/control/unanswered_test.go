// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A daemon that takes connections and never begins its list is found out; one
// that has begun may take its time.
func TestFlowsUnanswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path) // Accepts in the kernel, answers nothing.
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client := NewClient(path)
	client.patience = 20 * time.Millisecond
	for _, err := range client.Flows(t.Context(), 0) {
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("got %v", err)
		}
	}
}
