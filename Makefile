# make check   formatting, linters, dead code, cross builds, known vulnerabilities
# make test    everything that runs, under the race detector, the end-to-end test included
# make test-clients  the same with real clients from npm; needs the network once
# make test-packages  packages of Linux, installed, upgraded and removed; needs root
# make soak    the simulation and the random kills of make test, for much longer
# make demo    one login from browser to export, on a private keyring, nothing left behind
# make build   bin/keytray and bin/keytray-tray
# make dist VERSION=1.2.3  dist/: what people install, for all systems (packaging/README.md)
# make bench   benchmarks beside the programs of others, into bench/RESULTS.md: ten minutes
#
# For packagers: GO is the go command, VERSION what `keytray version` prints
# (without it, what git knows), GOFLAGS and the like go through.

GO      ?= go
VERSION ?=

# Anything that `go test` takes, as in: make test TESTFLAGS='-short -run Login'.
TESTFLAGS ?=

# Vulnerability data for govulncheck: a folder of OSV files, such a folder in a
# .tgz, or a URL (https://vuln.go.dev). Without it that one check is left out.
VULNDB ?= $(lastword $(sort $(wildcard ../shared/data/go-vulndb-*.tgz)))

# How long `make soak` runs: simulations, and renewals that are killed.
SIMRUNS ?= 100000
KILLS   ?= 500

# How long `make bench` measures the idle tray.
IDLE ?= 1m

CROSS = linux/amd64 linux/arm64 windows/amd64 darwin/arm64 darwin/amd64

tool    = $(GO) tool -modfile=tools/go.mod
ldflags = -s -w$(if $(VERSION), -X main.version=$(VERSION))
say     = @printf '%s\n' '$(1)'

# A tarball, or a checkout that git does not trust (root in another user's),
# has no version to stamp; go build would stop there.
ifneq ($(shell git rev-parse --git-dir >/dev/null 2>&1 && echo git),git)
export GOFLAGS := $(GOFLAGS) -buildvcs=false
endif

.NOTPARALLEL:
.PHONY: all build check test test-clients test-packages soak demo dist bench mutants clean fmt fmt-check tidy-check vet lint deadcode cross vuln

all: build

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(ldflags)' -o bin/ ./cmd/keytray ./cmd/tray
	@mv bin/tray bin/keytray-tray

check: fmt-check tidy-check vet lint deadcode cross vuln
	$(call say,check: all passed)

# The race detector needs a C compiler; without one the tests still run.
# What fails is run again, at most twice, and every result is shown: some tests are
# about time, and a client that is not ours (secret-tool) can take gnome-keyring-daemon
# down, as docs/keychain.md says of L16.
test:
	@sh e2e/setup.sh
	@race=-race; set -- $$($(GO) env CC); \
	if ! command -v "$$1" >/dev/null 2>&1; then race=; echo "test: no C compiler ($$1): without the race detector"; fi; \
	$(tool) gotestsum --format pkgname --format-hide-empty-pkg --rerun-fails=2 --packages=./... -- $$race -timeout 15m $(TESTFLAGS)
	$(call say,test: the whole simulation, which the race detector only samples)
	@$(tool) gotestsum --format pkgname -- -run Simulation ./keeper
	$(call say,test: what other programs make of keytray helper)
	@$(GO) test -C e2e/parsers -count=1 -timeout 5m $(TESTFLAGS) ./...
	$(call say,test: the page of benchmarks)
	@$(GO) test -C bench $(TESTFLAGS) ./...

# Minutes; the tests are skipped where npm does not answer. What is for
# TESTFLAGS=-short is less of OpenClaw, whose gateway takes its time, and neither
# Gemini CLI nor opencode nor pi.
test-clients:
	@sh e2e/setup.sh
	@sh e2e/clients/setup.sh $(if $(filter -short,$(TESTFLAGS)),codex claude openclaw)
	$(GO) test -v -count=1 -timeout 20m $(TESTFLAGS) ./e2e/clients -clients

# Minutes, and a Debian from the network once. TESTFLAGS='-run Deb' is less.
test-packages:
	@sh packaging/setup.sh
	$(GO) test -v -count=1 -timeout 60m $(TESTFLAGS) ./e2e/packages -packages

demo: build
	bin/keytray demo

dist:
	@sh packaging/setup.sh
	@GO='$(GO)' packaging/dist.sh '$(VERSION)'

soak:
	$(GO) test -run Simulation -timeout 6h ./keeper -sim.runs $(SIMRUNS)
	@sh e2e/setup.sh
	$(GO) test -race -v -timeout 2h ./e2e/faults -faults.kills $(KILLS) -faults.long

# Breaks the engine in one way after another; each time the simulation must fail.
mutants:
	$(GO) test -v -run TestMutants -timeout 90m ./keeper -mutants

bench:
	@sh bench/setup.sh
	$(GO) run -C bench . -idle $(IDLE)

clean:
	rm -rf bin dist artifacts

fmt:
	$(tool) gofumpt -extra=group_params,clothe_returns -w .

fmt-check:
	$(call say,check: gofumpt)
	@out=$$($(tool) gofumpt -extra=group_params,clothe_returns -l .) || exit 1; \
	if [ -n "$$out" ]; then echo "not formatted, run make fmt:"; echo "$$out"; exit 1; fi

tidy-check:
	$(call say,check: go mod tidy)
	@$(GO) mod tidy -diff
	@cd tools && $(GO) mod tidy -diff
	@cd e2e/servers && $(GO) mod tidy -diff
	@cd e2e/parsers && $(GO) mod tidy -diff
	@cd bench && $(GO) mod tidy -diff

vet:
	$(call say,check: go vet)
	@$(GO) vet ./...
	@$(GO) vet -C e2e/servers ./...
	@$(GO) vet -C e2e/parsers ./...
	@$(GO) vet -C bench ./...

# Also for the systems that this is not, the packages that have other files there:
# those are seen by nobody else, and cross does the rest. The tray draws with cgo on
# macOS, which cannot be compiled elsewhere. With -trimpath, here and in cross, what
# is compiled is what the tests use, too.
lint:
	@set -e; lint=$$($(tool) -n golangci-lint); \
	files() { CGO_ENABLED=0 GOOS=$$1 $(GO) list -f '{{.Dir}} {{.GoFiles}} {{.TestGoFiles}} {{.XTestGoFiles}}' ./...; }; \
	echo "check: golangci-lint for linux"; \
	GOOS=linux "$$lint" run; \
	(cd e2e/servers && "$$lint" run -c ../../.golangci.yml); \
	(cd e2e/parsers && "$$lint" run -c ../../.golangci.yml); \
	(cd bench && "$$lint" run -c ../.golangci.yml); \
	for os in windows darwin; do \
		echo "check: golangci-lint for $$os"; \
		others=$$({ files linux; files $$os; } | sort | uniq -u | cut -d' ' -f1 | uniq); \
		[ $$os != darwin ] || others=$$(printf '%s\n' $$others | grep -v '/cmd/tray$$'); \
		GOFLAGS="$$GOFLAGS -trimpath" GOOS=$$os "$$lint" run $$others; \
	done

# deadcode reports and succeeds; here its report is the failure.
deadcode:
	$(call say,check: deadcode)
	@out=$$($(tool) deadcode -test ./...) || exit 1; \
	if [ -n "$$out" ]; then echo "$$out"; exit 1; fi

# The tray of macOS is type-checked only.
cross: export GOFLAGS := $(GOFLAGS) -trimpath
cross:
	@set -e; for target in $(CROSS); do \
		programs='./cmd/keytray ./cmd/tray'; \
		case $$target in darwin/*) programs=./cmd/keytray;; esac; \
		for program in $$programs; do \
			echo "check: build $$program for $$target"; \
			CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null $$program; \
		done; \
	done
	$(call say,check: types of ./cmd/tray for darwin)
	@$(GO) run -C tools ./typecheck -C .. -os darwin ./cmd/tray
	@set -e; for os in windows darwin; do \
		echo "check: go vet for $$os"; \
		CGO_ENABLED=0 GOOS=$$os $(GO) vet $$($(GO) list ./... | grep -v '/cmd/tray$$'); \
	done

vuln:
	@tools/vulncheck '$(VULNDB)' $(tool)
