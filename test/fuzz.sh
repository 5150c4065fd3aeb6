#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target of the tree for the given time each (default 3s).
set -euo pipefail
cd "$(dirname "$0")/.."
duration=${1:-3s}

# A run that is stopped by the clock while its workers are busy may report just that,
# "context deadline exceeded", as a failure: without an input, it is none.
fuzz() {
	local package=$1 target=$2 output
	for _ in 1 2 3; do
		if output=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$package" 2>&1 </dev/null); then
			tail -n 1 <<<"$output"
			return 0
		fi
		if grep -q 'Failing input' <<<"$output" || ! grep -q 'context deadline exceeded' <<<"$output"; then
			break
		fi
		echo "the clock ran out on busy workers; once more"
	done
	echo "$output" >&2
	return 1
}

grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do
	package=./$(dirname "${file#./}")
	sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file" | while read -r target; do
		echo "fuzz $package $target"
		fuzz "$package" "$target"
	done
done
