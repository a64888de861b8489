# Two commands for a newcomer: `make demo` and `make test`. Each installs what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)
ARGS ?=

.PHONY: help demo test build e2e race lint fmt fuzz bench crash interop tokens update-golden

help: ## Say what there is.
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## Show the whole life of a micro-credential on real parts. ARGS=--once ends after the walk.
	@.ci/packages gcc libc6-dev softhsm2 redis-server
	@$(MAKE) --no-print-directory build
	@bin/sealsmith demo $(ARGS)

test: ## Run all tests on SQLite, PostgreSQL, Redis, an object store, SoftHSM, Chromium and Firefox.
	@.ci/packages gcc libc6-dev softhsm2 libnss3 libnss3-tools p11-kit p11-kit-modules redis-server redis-tools postgresql chromium firefox-esr openssl poppler-utils qpdf
	@.ci/with-postgres .ci/with-objects .ci/go-test -timeout 20m

build: ## Build bin/sealsmith.
	@mkdir -p bin
	@go build -trimpath -ldflags '$(LDFLAGS)' -o bin/sealsmith ./cmd/sealsmith

e2e: ## Only the walk over HTTP and those in Chromium and Firefox.
	@.ci/with-postgres go test -count=1 -run 'TestJourney|TestBrowser' -v ./cmd/sealsmith

race: ## All tests under the race detector: shorter ones, and on SQLite where both databases do the same.
	@.ci/with-postgres .ci/with-objects .ci/go-test -race -short -timeout 60m

lint: ## Formatting, vet and linters.
	@go mod verify >/dev/null && go mod tidy -diff
	@go vet ./...
	@go tool -modfile=.ci/tools/go.mod golangci-lint run --config .ci/golangci.yml

fmt: ## Format all files.
	@go tool -modfile=.ci/tools/go.mod golangci-lint fmt --config .ci/golangci.yml

FUZZTIME ?= 20s
fuzz: ## Every fuzz target for FUZZTIME.
	@.ci/fuzz $(FUZZTIME)

bench: ## Measures as JSON lines.
	@.ci/packages gcc libc6-dev softhsm2 redis-server postgresql >&2
	@.ci/interop build >&2
	@$(MAKE) --no-print-directory build >&2
	@.ci/with-postgres bash -c 'bin/sealsmith bench --postgres "$$SEALSMITH_TEST_POSTGRES" --dss testdata/interop/target'
	@.ci/with-postgres .ci/go-bench

crash: ## Issue 10,000 credentials on SQLite and on PostgreSQL while processes are killed, and count them; some 15 minutes. ARGS="--claims 300 --pages 30 --kills 8" is shorter.
	@.ci/packages gcc libc6-dev softhsm2 redis-server postgresql >&2
	@$(MAKE) --no-print-directory build >&2
	@bin/sealsmith crashrun --on sqlite $(ARGS)
	@bin/sealsmith crashrun --on postgres $(ARGS)

tokens: ## The conformance suite of hsm over opencryptoki and a simulated TPM; as root.
	@.ci/tokens

interop: ## Have DSS of the European Commission, JOSE libraries, OpenSSL and poppler judge our sealed files.
	@.ci/packages gcc libc6-dev softhsm2 openssl poppler-utils libnss3-tools
	@.ci/interop

update-golden: ## Write the golden files anew; look at the difference before you commit it.
	@go test ./issuance/elm -update
