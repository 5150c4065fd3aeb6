# SPDX-License-Identifier: Apache-2.0
# The commands that matter: make build, make demo, make test, make bench.
# Each works alone on a Debian 12 machine with Go and root: test/setup.sh installs
# what is missing.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 3s
N       ?= 5
PKGS    ?= ./...
STRESSFLAGS ?=
ROUNDS  ?= 10
BENCHFLAGS ?=
KERNELFLAGS ?=

export CGO_ENABLED ?= 0

.PHONY: build
build: ## bin/hafast
	$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/hafast ./cmd/hafast

.PHONY: demo
demo: ## a pair in namespaces under load: every fault, what the client sees, a table
	./test/setup.sh demo
	$(MAKE) build
	$(GO) run ./test/netns/cmd/demo

.PHONY: generate
generate: ## compile bpf/ (clang, llvm-strip, libbpf-dev) and write its Go types
	$(GO) generate ./...

.PHONY: generated
generated: ## the committed objects are what the sources give
	@before=$$(find . -name '*_bpfel.*' | sort | xargs sha256sum) && $(MAKE) --no-print-directory generate && \
	test "$$before" = "$$(find . -name '*_bpfel.*' | sort | xargs sha256sum)" || \
	{ echo "generated files were out of date: commit what 'make generate' has written"; exit 1; }

.PHONY: test
test: ## everything: lint, generated files, unit, race, fuzz, namespaces, other kernels
	./test/setup.sh test
	$(MAKE) build lint generated
	$(MAKE) test-unit test-fuzz test-netns test-kernels-smoke

.PHONY: test-unit
test-unit: ## all packages but the namespace labs, with the race detector
	HAFAST_REQUIRE_NETNS=1 CGO_ENABLED=1 $(GO) test -race -shuffle=on $$($(GO) list ./... | grep -v -e /test/netns -e /test/wires)

.PHONY: test-netns
test-netns: build ## real haproxy, keepalived and FRR in network namespaces, and the wires between them
	HAFAST_REQUIRE_NETNS=1 CGO_ENABLED=1 $(GO) test -race -count=1 -shuffle=on -p 1 -timeout 12m ./test/netns/... ./test/wires

.PHONY: test-stress
test-stress: build ## each package of PKGS N times, shuffled, on a busy machine; a table of what failed
	./test/setup.sh test
	$(GO) run ./test/stress -n $(N) $(STRESSFLAGS) $(PKGS)

.PHONY: test-kernels-smoke
test-kernels-smoke: ## the XDP program and its loader on Linux 6.1 and 6.12, under qemu (about 3 minutes)
	./test/setup.sh smoke
	$(GO) run ./test/kernels/cmd/kernels -smoke $(KERNELFLAGS)

.PHONY: test-kernels
test-kernels: ## all that talks to the kernel, and a pair, on Linux 5.10 to the newest (an hour)
	./test/setup.sh kernels
	$(GO) run ./test/kernels/cmd/kernels $(KERNELFLAGS)

.PHONY: test-fuzz
test-fuzz: ## every fuzz target for FUZZTIME
	./test/fuzz.sh $(FUZZTIME)

.PHONY: lint
lint: ## gofumpt, go vet, staticcheck, golangci-lint, shellcheck, clang-format; go.mod and go.sum tidy
	@unformatted=$$($(GO) tool gofumpt -l .); test -z "$$unformatted" || { echo "not gofumpt-ed: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) tool -modfile=tools/golangci-lint.mod golangci-lint run
	shellcheck $$(git ls-files --cached --others --exclude-standard '*.sh') .ci/run
	clang-format --dry-run --Werror $$(git ls-files --cached --others --exclude-standard '*.c' '*.h')
	$(GO) mod tidy -diff

.PHONY: bench
bench: bench-takeover bench-xdp bench-path bench-share bench-scale bench-sync bench-flowsync bench-soak ## measure, beside keepalived and others

.PHONY: bench-takeover
bench-takeover: ## outage of fresh and held connections at every fault (about 15 minutes)
	./test/setup.sh bench
	$(MAKE) build
	$(GO) run ./test/netns/cmd/bench takeover -rounds $(ROUNDS) $(BENCHFLAGS)

.PHONY: bench-scale
bench-scale: ## promotion by number of VIPs, CPU and memory, 255 instances (about 3 minutes)
	./test/setup.sh bench
	$(MAKE) build
	$(GO) run ./test/netns/cmd/bench scale $(BENCHFLAGS)

.PHONY: bench-xdp
bench-xdp: ## nanoseconds per packet of the XDP program (about 3 minutes)
	./test/setup.sh bench
	$(GO) run ./test/netns/cmd/bench xdp $(BENCHFLAGS)

.PHONY: bench-path
bench-path: ## packets/s and requests/s by way of the peer, beside kernel DNAT and keepalived
	./test/setup.sh bench
	$(MAKE) build
	$(GO) run ./test/netns/cmd/bench path $(BENCHFLAGS)

.PHONY: bench-share
bench-share: ## requests/s of two capped haproxies, shared against local
	./test/setup.sh bench
	$(MAKE) build
	$(GO) run ./test/netns/cmd/bench share $(BENCHFLAGS)

.PHONY: bench-sync
bench-sync: ## replication of connection tracking on a router pair, beside conntrackd (about 25 minutes)
	./test/setup.sh bench
	$(MAKE) build
	$(GO) run ./test/netns/cmd/bench sync $(BENCHFLAGS)

.PHONY: bench-flowsync
bench-flowsync: ## replication of the XDP program's flows (about 2 minutes)
	./test/setup.sh bench
	$(MAKE) build
	$(GO) run ./test/netns/cmd/bench flowsync $(BENCHFLAGS)

.PHONY: bench-soak
bench-soak: ## ten minutes of probing on a busy machine
	./test/setup.sh bench
	$(MAKE) build
	$(GO) run ./test/netns/cmd/bench soak $(BENCHFLAGS)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin bench/out

.PHONY: help
help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16
