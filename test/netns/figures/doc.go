// SPDX-License-Identifier: Apache-2.0

// Package figures is what the benchmarks have in common: the machine that the
// figures come from, their statistics, and the ways they are shown: a table on the
// terminal, JSON in a file, a section of a Markdown document.
package figures
