// SPDX-License-Identifier: Apache-2.0

package cost

// The C sources are in bpf/; the flags are those of pkg/loader, which says why.

//go:generate go tool bpf2go -go-package cost -target bpfel -cc clang -cflags "-O2 -g -mcpu=v3 -Wall -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu" -output-stem floor -type recipe floor ../../../bpf/floor.bpf.c -- -I../../../bpf
