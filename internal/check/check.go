// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"fmt"
	"slices"

	"hafast/internal/config"
)

// Problem is one finding.
type Problem struct {
	File string
	// Line counts from 1.
	Line int
	// Text says what is wrong.
	Text string
	// Mend says what would be right.
	Mend string
	// Warning marks what hafast can live with.
	Warning bool
	// Detail is what the kernel said in full, of many lines; empty if there is no more.
	Detail string
}

// String returns "file:line: text; mend".
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d: %s; %s", p.File, p.Line, p.Text, p.Mend)
}

// Run compares the configuration with the host. Problems come in the order of
// the file's lines.
func Run(cfg *config.Config, env Env) []Problem {
	c := &checker{cfg: cfg, env: env}
	c.running = env.Answers(cfg.Control.Socket) == nil
	for _, rule := range []func(){
		c.network, c.peers, c.groups, c.heldVIPs,
		c.kernel, c.privileges, c.sysctls, c.dataPath,
		c.haproxy, c.preemption, c.commands, c.rivals,
		c.endpoints, c.sync,
	} {
		rule()
	}
	slices.SortStableFunc(c.found, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return c.found
}

// checker carries one run.
type checker struct {
	cfg *config.Config
	env Env
	// running tells that a hafast daemon answers on the control socket.
	running bool
	found   []Problem
}

func (c *checker) problem(path, text, mend string) { c.add(path, Problem{Text: text, Mend: mend}) }

func (c *checker) warning(path, text, mend string) {
	c.add(path, Problem{Text: text, Mend: mend, Warning: true})
}

// add places a finding at the key of the configuration that it is about.
func (c *checker) add(path string, p Problem) {
	at := c.cfg.Places.Of(path)
	p.File, p.Line = at.File, max(1, at.Line)
	// Instances share interfaces: what holds for both is said once.
	if !slices.Contains(c.found, p) {
		c.found = append(c.found, p)
	}
}

// instancePath is where an instance stands in the configuration.
func instancePath(i int) string { return fmt.Sprintf("instances[%d]", i) }

// isV6 tells an instance's address family.
func isV6(inst *config.Instance) bool {
	return len(inst.VIPs) > 0 && inst.VIPs[0].Prefix.Addr().Is6()
}

func family(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}
