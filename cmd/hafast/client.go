// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"hafast/internal/control"
)

// socketFlag adds --socket.
func socketFlag(cmd *cobra.Command, socket *string) {
	cmd.Flags().StringVarP(socket, "socket", "S", control.DefaultSocket, "control `socket` of the daemon")
	completeFiles(cmd, "socket", "sock")
}

// untilInterrupted returns a context that ends with ^C, for commands that go on
// until somebody has seen enough: being interrupted is their way to succeed.
func untilInterrupted(parent context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(parent, syscall.SIGINT, syscall.SIGTERM)
}
