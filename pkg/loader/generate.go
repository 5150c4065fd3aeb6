// SPDX-License-Identifier: Apache-2.0

package loader

// The C sources are in bpf/. Debian keeps asm/types.h in a directory named after the
// architecture; the one that is not there is skipped by clang, and since the program
// itself depends on neither, the object is the same wherever it is built.

//go:generate go tool bpf2go -go-package loader -target bpfel -cc clang -cflags "-O2 -g -mcpu=v3 -Wall -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu" -output-stem hafast -type target -type service4 -type service6 -type event -type replicate_args bpf ../../bpf/hafast.bpf.c -- -I../../bpf
