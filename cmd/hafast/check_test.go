// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"hafast/internal/check"
)

func TestHostText(t *testing.T) {
	found := []check.Problem{
		{File: "f", Line: 1, Text: "odd", Mend: "mend it", Warning: true},
		{File: "f", Line: 7, Text: "refused", Mend: "use another kernel", Detail: "0: r0 = 1\nR0 invalid\n"},
	}
	const short = "warning: f:1: odd; mend it\nf:7: refused; use another kernel\n"
	for verbose, want := range map[bool]string{false: short, true: short + "    0: r0 = 1\n    R0 invalid\n"} {
		var b strings.Builder
		if n := hostText(&b, found, verbose); n != 1 || b.String() != want {
			t.Errorf("verbose %t: %d problems in\n%s", verbose, n, b.String())
		}
	}
}
