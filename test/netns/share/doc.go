// SPDX-License-Identifier: Apache-2.0

// Package share measures what a second haproxy is worth: requests per second through a
// pair whose haproxies are the bottleneck.
//
//	          client: keep-alive connections, opened anew now and then
//	             |
//	+------------+-------------+        +--------------------------+
//	| haa   haproxy, 20 % CPU  | ------ | hab   haproxy, 20 % CPU  |
//	+--------------------------+        +--------------------------+
//
// All hosts share the machine's processors, so each haproxy is put into a control
// group with a CPU quota that is small beside them. What is left over is for the
// client and the web server, and the results show that they did not need it: the
// machine was partly idle, and the haproxies were throttled.
//
// A haproxy's quota pays for more than haproxy: packets that it sends travel to
// their receivers' sockets at its expense (see package load). That is the same
// for all systems.
package share
