# What to do here; `make` alone lists it.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
FUZZTIME ?= 10s
SCHEDULES ?= 10000
POSTGRES ?= 50
SEEDS    ?= 5
SOAK     ?= 10m
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.revision=$(REVISION)

# What is not raced is built one way, that of the binary, so that everything is compiled
# once; and without paths of this machine, so that another clone need not compile it again.
export CGO_ENABLED := 0
export GOFLAGS     := $(strip $(GOFLAGS) -trimpath)

# Packages that compute and have nothing to race with: neither they nor their tests start a
# goroutine. The race detector makes them some ten times slower.
MODULE   := github.com/tallyman-dev/tallyman
COMPUTE  := $(addprefix $(MODULE)/gitops/,discover gate policy policy/tagset)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## show the whole job on this machine: events in, commits out
	@bin/tallyman demo

.PHONY: test-deps
test-deps: ## install what the tests start: PostgreSQL, sshd, docker-registry, GnuPG, curl, jq, shellcheck
	@.ci/install

# Packages of others that the race detector makes several times slower and has nothing to find
# in: SQLite, which is translated C, and the comparison of values, which tests do without end.
# Our own packages, and what they share, are watched all the same. It must be none that compiles
# the library's synchronization into itself, such as sync.Map: the linker may take that copy for
# the whole program, and the detector then knows no order where there is one.
UNRACED := modernc.org/sqlite/lib modernc.org/libc modernc.org/memory github.com/google/go-cmp/cmp

.PHONY: test
test: test-deps test-deploy ## run every test, with the race detector
	@.ci/unraced $(UNRACED)
	$(GO) test $(COMPUTE)
	CGO_ENABLED=1 $(GO) test -race $(UNRACED:%=-gcflags='%=-race=false') -timeout 20m $$($(GO) list ./... | grep -vxF $(COMPUTE:%=-e %))

# A module of its own. Not cached: Go does not see what the tools read.
.PHONY: test-deploy
test-deploy: ## hold deploy/ against Helm, promtool, actionlint, Terraform and the published schemas
	$(GO) -C deploy/test test -count=1 -timeout 40m ./...

.PHONY: simulate
simulate: ## play SCHEDULES (10000) of the whole service against every fault, POSTGRES (50) of them on PostgreSQL, and SEEDS (5) of its calls
	@.ci/simulate $(SCHEDULES) $(POSTGRES) $(SEEDS)

.PHONY: forged
forged: ## send FORGED (30000) forged requests of every kind from the address of valid senders
	TALLYMAN_FORGED=$(or $(FORGED),30000) $(GO) test -count=1 -run '^TestForgedRequestsLockNobodyOut$$' ./server

.PHONY: planted
planted: ## plant every known bug in the service, and see that the simulation finds it; some 10 minutes
	cd server/simulation && $(GO) test -count=1 -timeout 40m -v -run '^TestPlanted' . -plant 1000

.PHONY: build
build: ## build bin/tallyman, a static binary
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/tallyman ./cmd/tallyman

.PHONY: sbom
sbom: build ## write bin/sbom.json: what the binary is made of
	@$(GO) run ./.ci/sbom bin/tallyman > bin/sbom.json

.PHONY: lint
lint: ## gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) -C deploy/test vet ./...
	cd deploy/test && $$($(GO) -C ../.. tool -n staticcheck) ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s)
	@.ci/fuzz '^Fuzz' $(FUZZTIME)

.PHONY: bench
bench: ## measure from end to end (BENCH=-quick takes a minute), then the inner pieces
	$(GO) run ./cmd/tallyman-bench $(BENCH)
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: soak
soak: ## attack the program for SOAK (10m) beside valid deliveries, in the memory that the chart gives it; the table is soak.md
	$(GO) test -count=1 -timeout 2h -v -run '^TestSoak$$' ./cmd/tallyman-bench -soak $(SOAK) -soak-table $(CURDIR)/soak.md $(SOAKFLAGS)

.PHONY: verify
verify: lint test simulate fuzz demo ## all of what CI runs

.PHONY: image
image: ## build the container image tallyman:VERSION, with GO_IMAGE by digest where that is given
	docker build $(if $(GO_IMAGE),--build-arg GO_IMAGE=$(GO_IMAGE)) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t tallyman:$(VERSION) .
