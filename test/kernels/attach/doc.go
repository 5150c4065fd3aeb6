// SPDX-License-Identifier: Apache-2.0

// Package attach tests the first thing that a kernel has to do for hafast: to load the
// XDP program and run it on an interface, in the driver and before the stack. In a guest
// of package kernels the interfaces are virtio's; elsewhere veth has to do.
package attach
