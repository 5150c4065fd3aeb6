// SPDX-License-Identifier: Apache-2.0

// Package check is what `hafast check` finds beyond the configuration itself:
// whether this host can do what the file asks of it.
//
//	config.Config ──┐
//	                ├──> Run ──> []Problem: file, line, what is wrong, the mend
//	Env (the host) ─┘
//
// Run looks at the host through [Env] alone and changes nothing on it, so each rule is
// tested against a host made of literals. [System] is the host itself; the kernel may
// load a module to answer it, as it would for the daemon.
//
// A problem keeps hafast from doing its work; a warning is something that can be
// meant, such as a haproxy that is not started yet.
package check
