// SPDX-License-Identifier: Apache-2.0

// Package record is what the hosts replicate: flows of the XDP flow table, and
// entries of the kernel's connection tracking table. Both are plain values without
// anything that holds on one host only.
package record
