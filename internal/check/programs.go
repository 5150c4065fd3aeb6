// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hafast/internal/config"
)

// haproxy looks for the process that the pidfile names, and asks the stats socket.
// haproxy may be started after hafast, so nothing here is more than a warning.
func (c *checker) haproxy() {
	h := c.cfg.HAProxy
	if h.Mode == config.HAProxyOff {
		return
	}
	text, err := c.env.Read(h.Pidfile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && h.Mode == config.HAProxyAuto:
		c.warning("haproxy", fmt.Sprintf("there is no haproxy section and no %s: haproxy is not watched until that file appears", h.Pidfile),
			"start haproxy, or write haproxy: with its pidfile, or haproxy: off")
	case errors.Is(err, fs.ErrNotExist):
		c.warning("haproxy.pidfile", fmt.Sprintf("pidfile %s does not exist: haproxy does not run, or writes another", h.Pidfile),
			"start haproxy, or write the pidfile of its configuration, or haproxy: off")
	case err != nil:
		c.warning("haproxy.pidfile", fmt.Sprintf("pidfile cannot be read: %v", err), "make it readable for hafast")
	default:
		c.pidfile(h.Pidfile, string(text))
	}
	if h.Socket != "" {
		if err := c.env.Answers(h.Socket); err != nil {
			c.warning("haproxy.socket", fmt.Sprintf("haproxy's stats socket does not answer: %v", err),
				fmt.Sprintf("add to haproxy's global section: stats socket %s", h.Socket))
		}
	}
}

func (c *checker) pidfile(path, text string) {
	words := strings.Fields(text)
	if len(words) == 0 {
		c.warning("haproxy.pidfile", fmt.Sprintf("pidfile %s is empty", path), "start haproxy")
		return
	}
	processes, err := c.env.Processes()
	if err != nil {
		c.warning("haproxy.pidfile", fmt.Sprintf("processes cannot be listed: %v", err), "run hafast check on the host itself")
		return
	}
	// A haproxy with nbproc wrote a process id per line.
	for _, word := range words {
		pid, err := strconv.Atoi(word)
		if err != nil || pid <= 0 {
			c.warning("haproxy.pidfile", fmt.Sprintf("pidfile %s has %.20q where a process id should be", path, word), "write the pidfile of haproxy's configuration")
			return
		}
		comm, runs := processes[pid]
		switch {
		case !runs:
			c.warning("haproxy.pidfile", fmt.Sprintf("no process has the id %d of pidfile %s", pid, path), "start haproxy")
		case !strings.Contains(comm, "haproxy"):
			c.warning("haproxy.pidfile", fmt.Sprintf("process %d of pidfile %s is %s, not haproxy", pid, path, comm), "write the pidfile of haproxy's configuration")
		}
	}
}

// commands checks that scripts and notify commands can be run.
func (c *checker) commands() {
	for i, s := range c.cfg.Scripts {
		path := fmt.Sprintf("scripts[%d]", i)
		c.command(path+".command", "script "+s.Name, s.Command)
		c.user(path+".user", s.User)
	}
	for i, inst := range c.cfg.Instances {
		c.notify(instancePath(i)+".notify", inst.Notify)
	}
	for i, g := range c.cfg.SyncGroups {
		c.notify(fmt.Sprintf("sync_groups[%d].notify", i), g.Notify)
	}
}

func (c *checker) notify(path string, n config.Notify) {
	for _, one := range []struct{ key, command string }{
		{"active", n.Active},
		{"backup", n.Backup},
		{"fault", n.Fault},
		{"stop", n.Stop},
		{"any", n.Any},
	} {
		c.command(path+"."+one.key, "notify command "+one.key, one.command)
	}
	c.user(path+".user", n.User)
}

func (c *checker) command(path, what, line string) {
	if line == "" {
		return
	}
	if err := c.env.Executable(line); err != nil {
		c.problem(path, fmt.Sprintf("%s cannot be run: %v", what, err), "write a program that exists and is executable, with its path")
	}
}

// cause leaves out the path, which the message has already.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

func (c *checker) user(path, name string) {
	if name == "" {
		return
	}
	if err := c.env.User(name); err != nil {
		c.problem(path, fmt.Sprintf("commands cannot be run as %s: %v", name, err), "create the user, or leave the key out to run as hafast does")
	}
}

// rivals finds daemons that would fight over the VIPs.
func (c *checker) rivals() {
	c.beside("instances", "keepalived", "with the same vrid the two fight over the VIPs")
}

// beside warns of a program that runs and does hafast's work too.
func (c *checker) beside(path, program, why string) {
	processes, err := c.env.Processes()
	if err != nil {
		return
	}
	for _, pid := range slices.Sorted(maps.Keys(processes)) {
		if processes[pid] == program {
			c.warning(path, fmt.Sprintf("%s runs on this host, as process %d: %s", program, pid, why),
				"stop it before hafast starts: systemctl disable --now "+program)
			return
		}
	}
}

// endpoints checks what the daemon opens for others. A running one has them open.
func (c *checker) endpoints() {
	for _, dir := range []struct{ key, path string }{
		{"control.socket", filepath.Dir(c.cfg.Control.Socket)},
		{"state_dir", c.cfg.StateDir},
	} {
		if err := c.env.Writable(dir.path); err != nil {
			c.problem(dir.key, fmt.Sprintf("directory %s cannot be written: %v", dir.path, cause(err)), "make it writable for hafast, or write another")
		}
	}
	listen := c.cfg.Metrics.Listen
	if listen == "" || c.running {
		return
	}
	if err := c.env.CanListen(listen); err != nil {
		c.problem("metrics.listen", fmt.Sprintf("metrics cannot listen on %s: %v", listen, err), "write a free port and one of this host's addresses, or metrics: off")
	}
}
