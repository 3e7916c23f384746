# Run `make` for the list of targets.

GOLANGCI_VERSION := v2.15.0
VERSION          := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME         ?= 10s

GOLANGCI := bin/golangci-lint

.DEFAULT_GOAL := help
.PHONY: help build demo test lint fuzz chart generate check prove limits bench microbench FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: bin/tollgate ## build bin/tollgate

# The Go tool knows better than make what has changed.
bin/tollgate: FORCE
	go build -trimpath -ldflags "-X main.version=$(VERSION)" -o $@ ./cmd/tollgate

demo: build ## three simulated providers, the gateway and a key, in one process
	bin/tollgate demo

test: ## every test, with the race detector; installs what the tests need
	scripts/test-deps
	go test -race -timeout=30m ./...

lint: $(GOLANGCI)-$(GOLANGCI_VERSION) ## the linters of .golangci.yml and the formatting; installs golangci-lint into bin/
	$< run --allow-parallel-runners ./...

$(GOLANGCI)-$(GOLANGCI_VERSION):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(GOLANGCI) $@

fuzz: ## every fuzz target for FUZZTIME each (10s)
	scripts/fuzz $(FUZZTIME)

chart: build ## lint the Helm chart, render it, and check what it renders; installs Helm into bin/
	scripts/helm --install
	scripts/chart
	go test ./charts

generate: ## config/schema.json from the Config types, the tables of docs/providers.md from the contracts
	go generate ./config ./upstream

check: ## all that must hold before a change is merged
	$(MAKE) lint
	go vet ./...
	$(MAKE) build
	bin/tollgate config check -c config.yaml
	$(MAKE) generate
	git diff --exit-code -- config/schema.json docs/providers.md
	scripts/helm --install
	scripts/chart # what it renders is checked by the tests
	$(MAKE) test
	go test -run Alloc $$(grep -rl --include='*_test.go' '^func Test.*Alloc' . | xargs -n1 dirname | sort -u) # without the race detector, which allocates itself
	$(MAKE) fuzz FUZZTIME=2s

prove: ## what takes longer: every test five times over, outages, floods and limits in full (once over the real binary), every fuzz target for a minute
	TOLLGATE_PROVE=1 go test -race -count=5 -timeout=60m $$(go list ./... | grep -v '/e2e$$')
	TOLLGATE_PROVE=1 go test -race -timeout=120m ./e2e
	$(MAKE) fuzz FUZZTIME=1m

limits: ## what limits admit with four replicas and one Redis, in full and with figures: on a quiet machine
	TOLLGATE_PROVE=1 go test -v -count=1 -timeout=90m -run '^TestLimit' ./e2e

bench: ## what a request costs, beside nginx: under 10 minutes, on a quiet machine
	scripts/bench-deps
	go run ./bench $(BENCH)

microbench: ## the packages' own benchmarks: time and allocations of the hot paths
	go test -run '^$$' -bench . -benchmem ./...

FORCE:
