// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK = iota
	exitFailure
	// exitUsage: the command line, or an input file, could not be understood.
	exitUsage
	// exitUnfinished: the command did its work, and what it was to wait for takes
	// longer.
	exitUnfinished
)

// exitError is an error with an exit code of its own. A nil err means that the
// command has said everything already.
type exitError struct {
	code int
	err  error
	// hint is a line below the error that is not part of it.
	hint string
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// errSaid ends a command that failed and has told why.
func errSaid() error { return &exitError{code: exitFailure} }

// usageError is a command line that cannot be understood.
func usageError(cmd *cobra.Command, err error) error {
	return &exitError{code: exitUsage, err: err, hint: fmt.Sprintf("Run '%s --help' for how to use it.", cmd.CommandPath())}
}

func unknownCommand(root *cobra.Command, word string) error {
	err := fmt.Errorf("unknown command %q", word)
	if similar := root.SuggestionsFor(word); len(similar) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(similar, " or "))
	}
	return usageError(root, err)
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(cmd, fmt.Errorf("%s takes no arguments and got %q", cmd.Name(), args[0]))
	}
	return nil
}

// report writes the error to stderr and returns the exit code for it.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{code: exitFailure, err: err}
	}
	// What goes wrong in writing to stderr has nowhere else to go.
	if exit.err != nil {
		_, _ = fmt.Fprintf(stderr, "hafast: %v\n", err)
	}
	if exit.hint != "" {
		_, _ = fmt.Fprintln(stderr, exit.hint)
	}
	return exit.code
}
