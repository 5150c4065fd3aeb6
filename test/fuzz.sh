#!/usr/bin/env bash
# Runs every fuzz target of the tree for the given time each (default 3s).
set -euo pipefail
cd "$(dirname "$0")/.."
duration=${1:-3s}

grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do
	package=./$(dirname "${file#./}")
	sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file" | while read -r target; do
		echo "fuzz $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$package" </dev/null | tail -n 1
	done
done
