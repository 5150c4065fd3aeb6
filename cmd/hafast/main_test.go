// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hafast/internal/config"
	"hafast/internal/daemon"
)

// TestMain makes two commands of the test binary: hafast itself, and hafast with
// a daemon that runs nothing.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hafast":      main,
		"fake-daemon": fakeDaemon,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Values[daemonKey{}] = &slot{}
			env.Setenv("TZ", "UTC")
			// The race detector holds each process for a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("SOCK", filepath.Join(env.WorkDir, "run", "hafast.sock"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":         cmdServe,
			"serve-no-more": cmdServeNoMore,
			"append":        cmdAppend,
			"asked":         cmdAsked,
			"wait-for":      cmdWaitFor,
			"exits":         cmdExits,
		},
	})
}

// fakeDaemon is hafast with a daemon that says when it starts, when it is asked
// to hand over and when to give that up. With patient.yaml its hand-over takes
// for ever, with stubborn.yaml nothing but its end will stop it.
func fakeDaemon() {
	os.Exit(run(Env{
		Args:  os.Args[1:],
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Daemon: func(ctx context.Context, opts daemon.Options) error {
			if _, err := config.Load(opts.ConfigPath); err != nil {
				return fmt.Errorf("load configuration: %w", err)
			}
			say := func(what string) { _, _ = fmt.Fprintln(opts.LogOutput, what) }
			say("version " + opts.Version)
			say("started")
			<-ctx.Done()
			say("handing over")
			kind := filepath.Base(opts.ConfigPath)
			if kind == "patient.yaml" || kind == "stubborn.yaml" {
				<-opts.Abort.Done()
				say("giving up")
			}
			if kind == "stubborn.yaml" {
				select {}
			}
			return nil
		},
	}))
}
