// SPDX-License-Identifier: Apache-2.0

// Package control is the conversation between the daemon and the client
// commands: JSON over HTTP/1.1 on a unix socket.
//
//	hafast status ---+                        +--- Backend (the daemon)
//	hafast drain  ---+-- /run/.../hafast.sock-+
//	hafast events ---+   Client      Server   +--- Journal (a ring of Events)
//	hafast flows  ---+
//
// The requests:
//
//	GET  /v1/status                 Status
//	GET  /v1/events?since=N         [Event...]: those with Seq > N still in the ring
//	GET  /v1/events?since=N&follow=1   the same, then each new one, as NDJSON
//	GET  /v1/flows?limit=N          each Flow, N at most, as NDJSON
//	POST /v1/drain?timeout=10s      DrainResult, once the VIPs have moved or the time is up
//	POST /v1/ready                  {}
//
// Anything that fails answers with a status of 400 or above and
// {"error": "..."}. A list of flows that fails in the middle, when its status has
// long been sent, ends with such a line.
//
// HTTP is chosen for what comes with it: deadlines, streaming, and curl
// --unix-socket as a client of last resort. The socket belongs to root with mode
// 0660; who may open it may do everything, so there is no further
// authentication.
//
// The daemon keeps its one loop free of this package: the Server runs in its own
// goroutines and reaches the loop through Backend only, and a slow or stuck
// client costs a bounded buffer, never a wait in the loop.
package control
