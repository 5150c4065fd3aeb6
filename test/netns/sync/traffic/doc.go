// SPDX-License-Identifier: Apache-2.0

// Package traffic puts connections through a pair of routers: a server on the far
// side, a load of short connections, and connections that are held.
//
//	program that measures              process inside a host
//	+---------------------+   job     +----------------------+
//	| Server, Load, Held  | --------> | Main: the same       |
//	|                     | commands  | program as a server, |
//	|                     | <-------> | a load or a holder   |
//	+---------------------+  answers  +----------------------+
//
// Each is a process of its own, so that its sockets are made in its namespace at the
// speed of a system call, and its processor time can be told from that of the daemons.
// It ends with its standard input, and so never outlives the program that started it.
// A program that measures calls [Main] first thing.
package traffic
