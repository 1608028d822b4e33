# Every target, grouped by purpose. `make` alone lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

GO      ?= go
TOOL    := $(GO) tool -modfile=internal/tools/go.mod
SECURITY := $(GO) tool -modfile=internal/tools/security/go.mod
LINT    := $(GO) tool -modfile=internal/tools/lint/go.mod golangci-lint
GORELEASER := $(GO) run github.com/goreleaser/goreleaser/v2@v2.15.1
# Variables that the caller has exported don't reach our programs: see internal/cleanenv. Proxies stay, for compilers and
# package managers, and are removed where a program is started.
OURS    := $(shell sed -e '/^$$/d' -e '/^\#/d' -e 's/\*$$/%/' internal/cleanenv/variables.txt)
unexport $(filter-out HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY,$(filter $(OURS),$(.VARIABLES)))
# A go.work in a folder above would exclude our modules.
export GOWORK := off
# Continuous integration exports RERUN_FAILS, the file that lists the tests that failed and were rerun.
GOTEST  := $(if $(RERUN_FAILS),$(CURDIR)/tools/rerun/rerun.sh,$(GO) test)
# $(call npm-test,FOLDER): the same for Node.js tests, where all tests of the folder are rerun.
npm-test = $(if $(RERUN_FAILS),tools/rerun/npm.sh $(1),cd $(1) && npm test)
BINARY  := bin/otelcol-amplitude
# go.mod requires the oldest core that the components work with; this is what we build and ship.
NEWEST  := -modfile=$(CURDIR)/newest.mod
COMMANDS := bin/otelcol-amplitude-explain bin/otelcol-amplitude-replay
# What `make test` and `make quick` are told on the command line; nothing that is exported counts.
PACKAGE := ./...
RUN     :=
BASE    :=
# Separate modules, so that using the components doesn't pull in what these require.
MODULES := examples bench
# What distributions include, and the commands.
COMPONENTS := $(patsubst %,./%/...,$(wildcard processor exporter connector extension receiver internal sandbox cmd))

# What the Collector is built from: when none of it is newer than the binary, there is nothing to do.
SOURCES := builder-config.yaml go.mod go.sum newest.mod $(shell find internal sandbox processor exporter extension connector receiver -type f \
	-not -name '*_test.go' -not -path '*/testdata/*' -not -name '*.md' 2>/dev/null)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Try

.PHONY: run
run: $(BINARY) bin/shop-go bin/demo ## Start the Collector with a local Amplitude and drive a small shop through it (ONCE=1: then stop)
	@bin/demo $(if $(ONCE),-once)

.PHONY: shop-node
shop-node: $(BINARY) bin/demo examples/shop-node/node_modules/.package-lock.json ## The same with a shop in Node.js, which stays open for you (ONCE=1: stop once its visitors are done)
	@bin/demo -shop $@ $(if $(ONCE),-once)

.PHONY: shop-web
shop-web: $(BINARY) bin/demo examples/shop-web/node_modules/.package-lock.json $(if $(ONCE),e2e/browser/node_modules/.package-lock.json) ## The same with a web page that you visit (ONCE=1: Chromium visits it, then everything stops)
	@bin/demo -shop $@ $(if $(ONCE),-once)

.PHONY: check-amplitude
check-amplitude: need-go ## Check the assumptions of docs/assumptions.md against your Amplitude project (API_KEY=… SECRET_KEY=… REGION=eu ONLY=gzip,bytes HEAVY=1 RUN=… SERVER=http://…)
	@$(GO) run ./tools/assumptions $(if $(REGION),-region '$(REGION)') $(if $(SERVER),-server '$(SERVER)') $(if $(ONLY),-only '$(ONLY)') $(if $(HEAVY),-heavy) $(if $(RUN),-run '$(RUN)')

##@ Develop

.PHONY: build
build: $(BINARY) $(COMMANDS) ## Build bin/otelcol-amplitude, and the commands that explain its decisions and replay dead letters

.PHONY: quick
quick: need-go ## Test the packages that differ from main and those that import them, without the race detector and the end-to-end tests (BASE=origin/main)
	@$(GO) run ./tools/quick $(if $(BASE),-base '$(BASE)')

# All tests together need everything. For a single package, only end-to-end tests need the built programs; a test that misses
# another tool says so.
MODULE := $(strip $(foreach module,$(MODULES),$(if $(filter ./$(module) ./$(module)/%,$(PACKAGE)),$(module))))
.PHONY: test
test: need-go $(if $(filter ./...,$(PACKAGE)),need-test-tools) $(if $(filter ./... ./e2e%,$(PACKAGE)),$(BINARY) $(COMMANDS) bin/shop-go bin/demo) ## Run all tests, unit and end to end, with the race detector (PACKAGE=./internal/amplitude RUN=TestName: those only)
	$(if $(MODULE),cd $(MODULE) && )$(GOTEST) $(if $(MODULE),,$(NEWEST)) -race -timeout 45m $(if $(RUN),-run '$(RUN)') $(if $(MODULE),$(patsubst ./$(MODULE)%,.%,$(PACKAGE)),$(PACKAGE))
	$(if $(filter ./...,$(PACKAGE)),for module in $(MODULES); do (cd "$$module" && $(GOTEST) $(if $(RUN),-run '$(RUN)') ./...) || exit 1; done)

.PHONY: generate
generate: need-go ## Regenerate what is generated from metadata.yaml, the references and schemas in docs, the dashboard and the alerts
	$(GO) generate ./...

# The version that a line of builder-config.yaml pins.
PINNED   = $(shell sed -nE 's|.*$(1) (=> .* )?(v[0-9.]+)$$|\2|p' builder-config.yaml)
.PHONY: newest
newest: need-go ## Update newest.mod, which the commands are built with: go.mod with the versions of builder-config.yaml
	@sed -E -e 's|^go .*|go 1.26.0|' -e '/^\)/,$${/indirect/d}' \
		-e 's|(go.opentelemetry.io/collector/\S+) v0\S+|\1 $(call PINNED,receiver/otlpreceiver)|' \
		-e 's|(go.opentelemetry.io/collector/\S+) v1\S+|\1 $(call PINNED,provider/envprovider)|' \
		-e 's|(collector/config/confighttp) v\S+|\1 $(call PINNED,provider/envprovider)|' \
		-e 's|(contrib/extension/storage/filestorage) v\S+|\1 $(call PINNED,storage/filestorage)|' \
		-e 's|(redis/go-redis/v9) v\S+|\1 $(call PINNED,redis/go-redis/v9)|' \
		-e 's|(go-json-experiment/json) v\S+|\1 $(call PINNED,go-json-experiment/json)|' go.mod >newest.mod
	@$(GO) mod tidy -modfile=newest.mod

.PHONY: fmt
fmt: need-go ## Format all Go files
	$(TOOL) gofumpt -w $$(git ls-files '*.go' | grep -v generated_)

.PHONY: lint
lint: need-go ## Run the linters
	$(LINT) run
	for module in $(MODULES); do (cd "$$module" && $(GO) tool -modfile=../internal/tools/lint/go.mod golangci-lint run) || exit 1; done

# What no Go test checks. Without systemd-analyze, which comes with systemd, the unit cannot be checked.
.PHONY: lint-deploy
lint-deploy: need-go $(BINARY) ## Check workflows, package scripts and the systemd unit
	$(TOOL) actionlint
	@for script in deploy/systemd/*.sh; do sh -n "$$script" || exit 1; done
	@if command -v systemd-analyze >/dev/null; then \
		unit="$$(mktemp -d)/otelcol-amplitude.service" && \
		sed 's|/usr/bin/otelcol-amplitude|$(CURDIR)/$(BINARY)|' deploy/systemd/otelcol-amplitude.service >"$$unit" && \
		systemd-analyze verify "$$unit"; \
	else \
		echo "the systemd unit was not checked: there is no systemd-analyze here"; \
	fi

.PHONY: check
check: need-go ## Check everything that a change needs before it is merged: generated files, formatting, linters, tests
	$(MAKE) generate
	@git diff --exit-code --stat -- '*generated_*' '*documentation.md' '*/*/README.md' '**/internal/metadata*' docs/configuration.md docs/metrics.md docs/schema deploy || { echo "generated files are stale: commit what 'make generate' changed"; exit 1; }
	@test -z "$$($(TOOL) gofumpt -l $$(git ls-files '*.go' | grep -v generated_))" || { echo "run 'make fmt'"; exit 1; }
	$(GO) mod tidy -diff
	$(MAKE) newest && git diff --exit-code --stat -- newest.mod newest.sum
	for module in $(MODULES); do $(GO) -C "$$module" mod tidy -diff || exit 1; done
	$(MAKE) lint lint-deploy
	$(MAKE) test
	$(MAKE) chaos SECONDS=90

# What the browser tests import; they also take the screenshots.
WEB := e2e/amplitude-sdk e2e/browser examples/shop-node examples/shop-web examples/experiment-web examples/experiment-react-native
.PHONY: screenshots
screenshots: $(BINARY) $(patsubst %,%/node_modules/.package-lock.json,$(WEB)) ## Take the screenshots in docs/images again (needs Node.js and Chromium)
	cd e2e/browser && npm run screenshots

# promtool and prometheus are taken from Debian's package prometheus, without the service that the package would start.
.PHONY: deps
deps: ## Install the Debian packages that the tests use (as root): redis-server, chromium, promtool, prometheus
	@[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "make deps installs Debian packages: run it as root on Debian or Ubuntu. Elsewhere install redis-server, promtool and Chromium yourself."; exit 1; }
	apt-get update -qq
	command -v redis-server >/dev/null && command -v chromium >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server chromium
	@command -v promtool >/dev/null && command -v prometheus >/dev/null || { set -e -o pipefail; echo "==> installing promtool and prometheus, which the tests of alerts and dashboard run"; \
		cd "$$(mktemp -d)" && apt-get -o APT::Sandbox::User=root download -qq prometheus && \
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xf - -C /usr/local ./usr/bin/promtool ./usr/bin/prometheus --strip-components=2 && rm prometheus_*.deb; }

##@ Prove

.PHONY: e2e
e2e: need-test-tools $(BINARY) $(COMMANDS) bin/shop-go bin/demo ## Run the end-to-end tests against the built Collector
	$(GO) test -count=1 -timeout 20m ./e2e/...

.PHONY: bombs
bombs: $(BINARY) ## Send decompression bombs to every shipped configuration, within the memory of its container (Linux)
	SHIPPED=all $(GOTEST) $(NEWEST) -count=1 -timeout 30m -run TestShippedConfigurationsSurviveBombs ./e2e

.PHONY: web
web: $(BINARY) $(patsubst %,%/node_modules/.package-lock.json,$(WEB)) ## Run the browser tests, the shops and Amplitude's own clients against the sandbox (needs Node.js and Chromium)
	$(call npm-test,e2e/amplitude-sdk)
	$(call npm-test,e2e/browser)
	$(MAKE) shop-node ONCE=1
	$(MAKE) shop-web ONCE=1

# The slower tests of the documentation: the commands of all pages, and a Collector with contrib components.
.PHONY: docs-test
docs-test: $(BINARY) $(COMMANDS) bin/shop-go bin/demo bin/otelcol-amplitude-scale bin/kafka ## Run every command, configuration and record in the README and docs/, and list external links
	$(GOTEST) -count=1 -tags docs -timeout 45m ./e2e/docs
	@echo "links to elsewhere, which no test follows:"
	@git ls-files '*.md' | grep -v testdata/ | xargs grep -ohE 'https?://[^][ )>"`]+' | grep -vE '//(127\.0\.0\.1|localhost)' | sort -u | sed 's/^/  /'

# A run that ends in the middle of an input can report "context deadline exceeded" (go.dev/issue/48591):
# without a failing input, that is not a finding.
.PHONY: compat
compat: need-go need-redis ## Test with the oldest and the newest core: unit tests, a distribution built in an empty directory, programs for every platform (SHORT=1: unit tests with the oldest, the demo for Windows)
ifdef SHORT
	$(GOTEST) -short -timeout 30m $(COMPONENTS)
	GOOS=windows $(GO) -C examples vet ./demo
else
	GOTOOLCHAIN=go$$(sed -n 's/^go //p' go.mod) $(GO) test $(COMPONENTS)
	$(GO) test $(NEWEST) $(COMPONENTS)
	$(GO) test -count=1 -v -tags compat -timeout 60m ./e2e/compat
	@set -e; for platform in $(foreach os,linux darwin windows,$(os)/amd64 $(os)/arm64); do \
		echo "==> building for $$platform"; \
		export CGO_ENABLED=0 GOOS="$${platform%/*}" GOARCH="$${platform#*/}"; \
		$(GO) build $(NEWEST) ./... && $(GO) -C examples build ./...; \
	done
endif

.PHONY: fuzz
fuzz: need-go ## Fuzz everything that reads foreign input, each target for a while (FUZZTIME=30s MINIMIZE=1s: spend less of it on shortening inputs)
	@mkdir -p bin; set -e -o pipefail; grep -rl --include='*_test.go' '^func Fuzz' processor exporter extension connector receiver internal sandbox cmd | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$$file"); do \
			echo "==> $$target in $$(dirname "$$file")"; \
			if ! $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZTIME),30s) $(if $(MINIMIZE),-fuzzminimizetime $(MINIMIZE)) "./$$(dirname "$$file")" >bin/fuzz.log 2>&1 \
				&& { grep -q 'Failing input written' bin/fuzz.log || ! grep -q 'context deadline exceeded' bin/fuzz.log; }; then \
				cat bin/fuzz.log; exit 1; \
			fi; \
			grep '^fuzz: elapsed' bin/fuzz.log | tail -n 1; \
		done; \
	done

.PHONY: outcomes
outcomes: $(BINARY) ## Send exposures and orders of USERS users (10,000) while everything fails, and look for an order that was lost, duplicated, or ahead of its exposure
	OUTCOME_USERS=$(or $(USERS),10000) $(GO) test -count=1 -v -timeout 30m -run TestOutcomesFollowExposures ./e2e

.PHONY: chaos
chaos: need-redis $(BINARY) bin/otelcol-amplitude-replay $(if $(RACE),$(BINARY)-race) ## Kill and cut off everything around the Collector, then look for a lost event (SECONDS=90, SEED=n repeats a run, RACE=1 looks for data races in the Collector too)
	E2E_COLLECTOR=$(if $(RACE),$(notdir $(BINARY))-race) CHAOS_SECONDS=$(or $(SECONDS),90) CHAOS_SEED=$(SEED) $(GO) test -count=1 -v -timeout 60m -run TestNothingIsLost ./e2e/chaos

# An ordinary run tries 60 cases of each kind. If LEDGER_MODEL names its directory, the Python model of the rules is compared too.
.PHONY: ledger
ledger: need-go ## Compare de-duplication with its reference implementation in random cases (CASES=10000 of each kind, SEED=n, KIND=overlap: only those)
	LEDGER_CASES=$(or $(CASES),10000) LEDGER_SEED=$(or $(SEED),1) $(GO) test $(NEWEST) -count=1 -v -timeout 24h \
		-run '^Test(Conformance|BeyondTheReference|Killed(BeforeItIsWritten|AtAnyWrite)|ReferenceIsTheModel)$$$(if $(KIND),/^$(KIND)$$)' \
		./processor/amplitudeexperimentprocessor/internal/dedup

.PHONY: soak
soak: $(BINARY) ## Send 80 % of what the Collector can take, and check that nothing grows (MINUTES=30); writes docs/soak.md and docs/soak.svg
	SOAK_MINUTES=$(or $(MINUTES),30) $(GO) test -count=1 -v -timeout 24h -run TestSoak ./e2e/chaos

.PHONY: powercut
powercut: $(BINARY) ## Cut the power of a disk under the Collector (Linux, as root: a file system of its own on a loop device)
	$(GO) test -count=1 -v -tags powercut -timeout 10m ./e2e/powercut

.PHONY: scale-test
scale-test: need-redis $(BINARY) bin/otelcol-amplitude-scale bin/kafka ## Run the layouts of examples/scale-out: a load balancer, 2 and 4 replicas, edges and gateway, Kafka (SHORT=1: fewer users; SCALE_SEED=n repeats a run)
	SCALE_SEED=$(SCALE_SEED) $(GOTEST) -count=1 -tags scale -timeout 30m $(if $(SHORT),-short) ./e2e/scale

.PHONY: scale-bench
scale-bench: need-redis $(BINARY) bin/otelcol-amplitude-scale bin/kafka ## Measure the figures of docs/scaling.md again: 1, 2 and 4 processes, Redis, bytes on disk and in Kafka (10 minutes on a quiet machine; ROUNDS=1: once each)
	SCALE_ROUNDS=$(ROUNDS) SCALE_DOCS=$(CURDIR)/docs $(GO) test -count=1 -v -tags scalebench -timeout 60m -run 'TestFigures|TestPage' ./e2e/scale

.PHONY: bench
bench: need-go ## Measure the components next to the alternatives, in 20 minutes, and update docs/performance.md (BENCH=flags; BENCH=-h lists them)
ifneq (,$(filter -h -help --help,$(BENCH)))
	@cd bench && $(GO) run ./usage
else
	@cd bench && $(GO) tool -modfile=../internal/tools/go.mod builder --config builder-config.yaml
	@cd bench && $(GO) build -o build/bench . && build/bench -collector build/otelcol-bench -docs ../docs $(BENCH)
endif

.PHONY: vulncheck
vulncheck: need-go ## Look for known vulnerabilities in what our code calls (needs https://vuln.go.dev, or DB=file:///a/copy)
	GOFLAGS="$$GOFLAGS $(NEWEST)" $(SECURITY) govulncheck $(if $(DB),-db $(DB)) ./...

##@ Release

.PHONY: deploy-check
deploy-check: lint-deploy need-test-tools $(BINARY) ## Check everything in deploy/: configurations, alerts, dashboard, packaging
	$(GO) test ./tools/operations ./deploy/... ./e2e/deploy

.PHONY: release-check
release-check: need-go ## Check .goreleaser.yaml (builds goreleaser the first time)
	$(GORELEASER) check

.PHONY: snapshot
snapshot: need-go ## Build archives and packages for all platforms in dist/, without signing or publishing
	$(GORELEASER) release --snapshot --clean --skip=publish,sign,sbom

.PHONY: sbom
sbom: $(BINARY) ## List everything inside the Collector, with licenses, as CycloneDX: bin/sbom.cdx.json
	$(SECURITY) cyclonedx-gomod bin -json -output bin/sbom.cdx.json -version "$$($(BINARY) --version | awk '{print $$NF}')" $(BINARY)

# The first time, the builder compiles hundreds of packages, so it says what it is doing.
$(BINARY): $(SOURCES) | need-go
	@echo "==> building $(BINARY) (a few minutes the first time, seconds afterward)"
	@mkdir -p bin
	@$(TOOL) builder --config builder-config.yaml
	@mv _build/otelcol-amplitude $@

# The same with the race detector, from the sources that the builder generated.
$(BINARY)-race: $(BINARY)
	@echo "==> building $@ (a few minutes the first time)"
	@cd _build && $(GO) build -race -o ../$@ .

$(COMMANDS): bin/%: $(SOURCES) $(wildcard cmd/*/*.go) | need-go
	@echo "==> building $@"
	@$(GO) build $(NEWEST) -o $@ ./cmd/$*

bin/otelcol-amplitude-scale: examples/scale-out/builder-config.yaml $(SOURCES) | need-go
	@echo "==> building $@ (load_balancing and Kafka bring many packages: several minutes the first time)"
	@mkdir -p bin
	@cd examples/scale-out && $(GO) tool -modfile=../../internal/tools/go.mod builder --config builder-config.yaml
	@mv examples/scale-out/_build/otelcol-amplitude-scale $@

bin/shop-go: $(wildcard examples/shop-go/*.go) examples/go.mod | need-go
	@echo "==> building $@"
	@$(GO) build -C examples -o ../$@ ./shop-go

bin/kafka: $(wildcard examples/kafka/*.go) examples/go.mod | need-go
	@echo "==> building $@"
	@$(GO) build -C examples -o ../$@ ./kafka

bin/demo: $(wildcard examples/demo/*.go internal/cleanenv/*) examples/go.mod | need-go
	@echo "==> building $@"
	@$(GO) build -C examples -o ../$@ ./demo

# npm writes this file last, once everything in package-lock.json is installed.
%/node_modules/.package-lock.json: %/package-lock.json %/package.json | need-node
	@echo "==> installing what $*/package-lock.json names"
	@cd $* && npm ci --no-fund --no-audit --loglevel=error
	@touch $@

.PHONY: need-node
need-node:
	@command -v npm >/dev/null || { echo "make: 'npm' was not found: install Node.js 18 or newer from https://nodejs.org and try again"; exit 1; }

.PHONY: need-go
need-go:
	@command -v $(GO) >/dev/null || { echo "make: '$(GO)' was not found: install Go 1.26 or newer from https://go.dev/dl/ and try again"; exit 1; }

# Nothing is installed unless asked for.
REDIS    := command -v redis-server >/dev/null || { echo "make: 'redis-server' was not found, which the tests of shared de-duplication run. Debian and Ubuntu: make deps, as root; macOS: brew install redis; others: https://redis.io/docs/latest/operate/oss_and_stack/install/"; false; }
PROMTOOL := command -v promtool >/dev/null || { echo "make: 'promtool' was not found, which the tests of alerts and dashboard run. Debian and Ubuntu: make deps, as root; macOS: brew install prometheus; others: https://prometheus.io/download/"; false; }

.PHONY: need-redis
need-redis:
	@$(REDIS)

# Both are checked, so that one run reports everything that is missing.
.PHONY: need-test-tools
need-test-tools:
	@missing=0; { $(REDIS); } || missing=1; { $(PROMTOOL); } || missing=1; exit $$missing
