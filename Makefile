# Mainspring. `make help` lists every target; each does exactly what CI does.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
UV := $(shell command -v uv 2>/dev/null)

LOCK := requirements.lock
# The line of the lock file that begins its second section.
DEVELOPMENT := \# ---- development only ----

PROTOS := $(sort $(wildcard protos/mainspring/v1/*.proto))
SERVICES := $(filter %_service.proto,$(PROTOS))
# Test processes at once, each with servers of its own. Most tests wait more than they compute.
WORKERS ?= 4
# In the order in which they begin: those that wait for whole clusters first, those that only compute fill up the end.
TEST_TIERS := $(wildcard tests/acceptance tests/integration tests/simulation tests/contract tests/unit)

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

##@ Setting up

.PHONY: install
install: $(VENV)/.installed-run ## Create .venv with what Mainspring needs to run

.PHONY: install-dev
install-dev: $(VENV)/.installed-dev ## Create .venv with everything: run, test, lint, generate

.PHONY: lock
lock: install-dev ## Resolve dependencies anew and write requirements.lock
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	options=(--universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-config --quiet \
		--no-emit-index-url --no-emit-find-links --upgrade); \
	printf 'hatchling>=1.27\neditables>=0.5\n' > "$$folder/backend.in"; \
	$(VENV)/bin/uv pip compile "$${options[@]}" pyproject.toml --extra server --group dev "$$folder/backend.in" -o "$$folder/all"; \
	sed '/^ /d; s/ *\\$$//' "$$folder/all" > "$$folder/pins"; \
	$(VENV)/bin/uv pip compile "$${options[@]}" pyproject.toml --extra server "$$folder/backend.in" -c "$$folder/pins" -o "$$folder/run"; \
	{ echo '# Every dependency with its version and hashes, for pip and uv alike. Written by `make lock`; do not edit.'; \
	  echo '# ---- needed to run ----'; cat "$$folder/run"; \
	  echo '$(DEVELOPMENT)'; \
	  awk 'NR == FNR {if (/^[a-z]/) run[$$1] = 1; next} /^[a-z]/ {skip = ($$1 in run)} !skip' "$$folder/run" "$$folder/all"; \
	} > "$$folder/lock"; \
	if grep -nE '^-|://' "$$folder/lock"; then echo 'the lock file must name no index' >&2; exit 1; fi; \
	cp "$$folder/lock" $(LOCK); grep -c -- '==' $(LOCK) | sed 's/$$/ packages locked/'

$(PY):
	@$(if $(UV),:,$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; })
	@$(if $(UV),$(UV) venv --quiet --seed --python '>=3.11' $(VENV),$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "cannot create $(VENV): install your distribution's python3-venv package" >&2; exit 1; })

# $(call install_locked,FILE): exactly the packages of a hashed file, then the project itself, editable.
define install_locked
$(if $(UV),VIRTUAL_ENV=$(abspath $(VENV)) $(UV) pip install --quiet --require-hashes -r $(1),\
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1))
$(if $(UV),VIRTUAL_ENV=$(abspath $(VENV)) $(UV) pip install --quiet --no-deps --no-build-isolation -e .,\
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .)
endef

$(VENV)/.installed-run: $(LOCK) pyproject.toml | $(PY)
	@echo "installing what Mainspring needs to run into $(VENV)"
	@sed '/^$(DEVELOPMENT)/,$$d' $(LOCK) > $(VENV)/run.lock
	@$(call install_locked,$(VENV)/run.lock)
	@touch $@

$(VENV)/.installed-dev: $(LOCK) pyproject.toml | $(PY)
	@echo "installing everything into $(VENV)"
	@$(call install_locked,$(LOCK))
	@touch $(VENV)/.installed-run $@

.PHONY: servers
servers: install ## Unpack MariaDB, ZooKeeper and real MySQL ahead of time (build/servers)
	@$(PY) -m mainspring.testing.fetch_servers

##@ Stubs

# $(call generate,FOLDER): stubs of every proto; gRPC code only for the services.
define generate
$(PY) -m grpc_tools.protoc -I protos --python_out=$(1) --pyi_out=$(1) $(PROTOS)
$(PY) -m grpc_tools.protoc -I protos --grpc_python_out=$(1) $(SERVICES)
endef

.PHONY: protos
protos: install-dev ## Generate the Python stubs beside the .proto files
	@rm -f protos/mainspring/v1/*_pb2.py protos/mainspring/v1/*_pb2.pyi protos/mainspring/v1/*_pb2_grpc.py
	@$(call generate,protos)

.PHONY: protos-check
protos-check: install-dev ## Fail if the committed stubs differ from the .proto files
	@rm -rf build/protos-check && mkdir -p build/protos-check/generated build/protos-check/committed
	@$(call generate,build/protos-check/generated)
	@cp --parents $(wildcard $(addprefix protos/mainspring/v1/*,_pb2.py _pb2.pyi _pb2_grpc.py)) build/protos-check/committed
	@diff -r --brief build/protos-check/generated/mainspring build/protos-check/committed/protos/mainspring \
		|| { echo 'stubs are stale: run `make protos`' >&2; exit 1; }

.PHONY: proto-image
proto-image: install-dev ## Keep the contract as it is released: later ones must not break it (part of a release)
	@mkdir -p released
	@version=$$($(PY) -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])') && \
		cd protos && $(abspath $(VENV))/bin/buf build -o "../released/v$$version.binpb"
	@ls released/*.binpb | sort -V | tail -n 1

##@ Checking

.PHONY: lint
lint: install-dev ## Style, formatting, protos, import rules
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet . || { echo 'run `ruff format`' >&2; exit 1; }
	@cd protos && $(abspath $(VENV))/bin/buf lint
	@if image=$$(ls released/*.binpb 2>/dev/null | sort -V | tail -n 1) && [ -n "$$image" ]; then \
		cd protos && $(abspath $(VENV))/bin/buf breaking --against "../$$image"; fi
	@$(VENV)/bin/lint-imports --no-logo

.PHONY: types
types: install-dev ## mypy --strict
	@$(VENV)/bin/mypy
	@MYPYPATH=tests $(VENV)/bin/mypy -p chaos -p oracle -p fuzz -p benchmarks

.PHONY: test-unit
test-unit: install-dev ## Tests without servers, in seconds
	@$(PY) -m pytest -q tests/unit

# $(call run_tests,OPTIONS): several test processes share the machine; what failed there runs once more by itself, so that a
# bound on real processes and real time is judged on a machine that has time for it.
define run_tests
$(PY) -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(1) $(TEST_TIERS) || { code=$$?; [ $$code -eq 1 ] || exit $$code; \
	echo '== what failed, once more and one at a time'; \
	$(PY) -m pytest -q --last-failed --last-failed-no-failures none $(1) $(TEST_TIERS); }
endef

.PHONY: test
test: install-dev servers ## Unit, contract, integration and acceptance tests, with servers of their own
	@$(call run_tests,-m 'not slow')

.PHONY: test-full
test-full: export MAINSPRING_TESTS := all
test-full: lint types protos-check servers ## Everything CI runs: lint, types, stubs, and the tests with the long ones
	@$(call run_tests,)

.PHONY: test-contract
test-contract: install-dev servers ## The contract of the stores over SQLite, MariaDB and real MySQL, with the count of each
	@$(PY) -m pytest -q tests/contract

# SEED chooses victims, instants and pairs; ONLY is part of a fault's name.
SEED ?= 1
ONLY ?=
CHAOS = cd tests && $(abspath $(PY)) -m chaos.command --seed $(SEED) $(if $(ONLY),--only "$(ONLY)")
SEEDS ?= 2000
FIRST ?= 0

.PHONY: simulation
simulation: install-dev ## Whole clusters under virtual time and seeded errors, judged: SEEDS=2000 from FIRST=0 on
	@PYTHONPATH=tests $(PY) -m simulation --seeds $(SEEDS) --first $(FIRST)

.PHONY: simulation-seed
simulation-seed: install-dev ## One of them again, with everything that happened in it: SEED=17
	@PYTHONPATH=tests $(PY) -m simulation --seed $(SEED)

.PHONY: chaos
chaos: install-dev servers ## Every fault of the matrix and 8 pairs on real clusters, judged; a quarter of an hour (SEED=1 ONLY="kill -9")
	@$(CHAOS)

.PHONY: chaos-long
chaos-long: install-dev servers ## Nodes killed again and again under load, 16 more pairs, the matrix with another seed
	@$(CHAOS) --long

REQUESTS ?= 20000
REPLAY ?=

.PHONY: fuzz
fuzz: install-dev ## Random calls, right and wrong, compared with a model: REQUESTS=20000 SEED=1, REPLAY= what a failure printed
	@PYTHONPATH=tests $(PY) -m fuzz --requests $(REQUESTS) --seed $(SEED) --replay "$(REPLAY)"

ORACLE = PYTHONPATH=tests $(PY) -m oracle

.PHONY: oracle
oracle: install-dev ## Fire times against two other readings of every kind of schedule, around every clock change from 2000 to 2039
	@$(ORACLE) --seed $(SEED) $(if $(ONLY),--only "$(ONLY)")

.PHONY: corpus
corpus: install-dev ## Add new schedules to the frozen corpus of stored ones; refuses to change one
	@$(ORACLE).freeze

##@ Showing

.PHONY: demo
demo: install ## Mainspring in one process running thousands of tasks, with a verdict; needs no servers
	@$(PY) -m mainspring.dev.demo

.PHONY: cluster
cluster: install ## A local cluster to play with, until Ctrl-C
	@$(PY) -m mainspring.testing.fetch_servers --without-mysql
	@$(PY) -m mainspring.testing.local_cluster

.PHONY: demo-cluster
demo-cluster: install ## A whole cluster on this machine running thousands of tasks, with a verdict
	@$(PY) -m mainspring.testing.fetch_servers --without-mysql
	@$(PY) -m mainspring.testing.demo_cluster

.PHONY: lateness
lateness: install ## 200 tasks a second for 30 s: how late they run
	@$(PY) -m mainspring.testing.fetch_servers --without-mysql
	@$(PY) -m mainspring.testing.lateness

.PHONY: handovers
handovers: install ## Nodes join, drain and stop at 300 tasks a second: how long nobody fires a partition
	@$(PY) -m mainspring.testing.fetch_servers --without-mysql
	@$(PY) -m mainspring.testing.handovers

.PHONY: budget
budget: install ## Where the 10 s go: steady, in a herd, at a hand-over, after a kill; writes the table of docs/design.md
	@$(PY) -m mainspring.testing.fetch_servers --without-mysql
	@$(PY) -m mainspring.testing.budget_run

BENCH = PYTHONPATH=tests $(PY) -m benchmarks $(if $(ONLY),--only "$(ONLY)")

.PHONY: bench
bench: install-dev servers ## What the database can do and what Mainspring does on it; 20 minutes (ONLY=limit,burst)
	@$(BENCH)

.PHONY: bench-quick
bench-quick: install-dev servers ## The same, small, in two minutes (ONLY=burst)
	@$(BENCH) --quick

.PHONY: bench-stored
bench-stored: install-dev servers ## A burst beside 10 thousand and 5 million stored tasks; 3 GB below build/bench
	@PYTHONPATH=tests $(PY) -m benchmarks --only stored

.PHONY: bench-page
bench-page: install-dev ## Write the figures of the last full run into docs/performance.md
	@PYTHONPATH=tests $(PY) -m benchmarks.page

.PHONY: bench-profile
bench-profile: install-dev servers ## A burst with node and executor sampled from outside: the top ten of each
	@PYTHONPATH=tests $(PY) -m benchmarks.profile

.PHONY: bench-cron
bench-cron: install-dev ## What a fire time costs: parse, walk, remember, count
	@$(PY) tests/benchmarks/bench_cron.py

TASKS ?= 1000000
MISFIRE ?= latest
GOES_ON ?=

.PHONY: bench-outage
bench-outage: install-dev ## After an outage of an hour: fresh work beside TASKS=1000000 missed ones, MISFIRE=latest, GOES_ON=1
	@$(PY) -m mainspring.testing.fetch_servers --without-mysql
	@$(PY) tests/benchmarks/bench_outage.py --tasks $(TASKS) --misfire $(MISFIRE) $(if $(GOES_ON),--goes-on)

##@ Packaging

.PHONY: build
build: install ## Build the wheel into dist/
	@$(PY) -m hatchling build -t wheel

.PHONY: clean
clean: ## Remove build products, test data and caches; .venv and unpacked servers stay
	@rm -rf dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name servers -exec rm -rf {} +; fi
	@find . -path ./$(VENV) -prune -o -path ./build -prune -o -name __pycache__ -type d -exec rm -rf {} +

.PHONY: clean-all
clean-all: clean ## Remove .venv and the unpacked servers too
	@rm -rf $(VENV) build
