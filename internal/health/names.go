// SPDX-License-Identifier: Apache-2.0

package health

// The names of the checks on haproxy.
const (
	NameHAProxy = "haproxy"
	NameSocket  = "haproxy-socket"
)

// ScriptName is the name of the check that runs a script. The prefixes keep the
// users' names from clashing with ours.
func ScriptName(script string) string { return "script " + script }

// ProcessName is the name of the check on processes called comm.
func ProcessName(comm string) string { return "process " + comm }

// FileName is the name of the check on a file.
func FileName(path string) string { return "file " + path }

// NotTracked is the Detail of a haproxy that is not asked for and has not been
// seen: it counts as up, and nobody should be told that it is.
const NotTracked = "not seen yet, not tracked"
