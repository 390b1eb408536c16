# Every target sets up what it needs; two of them are enough for a newcomer: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo
PURE := tests/unit/plan tests/unit/wire tests/unit/rules tests/unit/member
WHEELS := build/wheels
IMAGE ?= leasegrid:dev
MINUTES ?= 20
SEED ?= 1
WORKERS ?= 2
# The wheels are made by this Python, and are for its version.
BASE_IMAGE ?= python:$$($(BIN)/python -c 'import sys; print("{}.{}".format(*sys.version_info))')-slim
SOURCES := leasegrid tasklet_runner operator tests benchmarks tools charts

.DEFAULT_GOAL := help
.PHONY: soak-cluster help install demo test lint format generate unit smoke process integration soak unhappy coverage bench examples chart chart-test e2e image clean bench-claims bench-jobs power-outage

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11 (set PYTHON=python3.11 or newer)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade -c constraints.txt pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.developed: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev
	@touch $@

# Its dependencies and those of the Kubernetes client exclude each other: it is a process of its own in an environment of its own.
$(VENV)/s3-server/.installed: tests/s3-server.txt | $(VENV)/.developed
	@$(PYTHON) -m venv $(VENV)/s3-server
	@$(VENV)/s3-server/bin/python -m pip install --quiet --disable-pip-version-check -r tests/s3-server.txt
	@touch $@

$(VENV)/.benched: $(VENV)/.developed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group bench
	@touch $@

install: $(VENV)/.installed ## the command leasegrid in .venv/bin

demo: $(VENV)/.installed ## 1,024 tiles of a fractal on leased workers, one picture, the lease timeline
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/leasegrid run examples/pop-up-supercomputer/fractal.yaml --results $(DEMO)/results --timeline $(DEMO)/timeline.html
	@$(BIN)/python examples/pop-up-supercomputer/check.py $(DEMO)/results
	@echo "look at:  $$(find $(DEMO)/results -name 'fractal.png')  and  $(DEMO)/timeline.html"

power-outage: $(VENV)/.installed ## a long computation whose power is cut again and again, and its digits
	@$(BIN)/python examples/power-outage/outage.py build/power-outage

test: lint coverage smoke ## the linters, the unit tier with its coverage gate, and a smoke of the process tier

lint: $(VENV)/.developed ## what pre-commit and CI run
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check --quiet $(SOURCES) || { echo "run: make format"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/codespell leasegrid tasklet_runner operator tests benchmarks tools charts docs examples *.md
	@$(BIN)/python tools/house.py
	@$(BIN)/python tools/dependencies.py
	@$(BIN)/python -m leasegrid.api.generate --check
	@$(BIN)/python tools/chart.py --check

format: $(VENV)/.developed ## let ruff put the sources in order
	@$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	@$(BIN)/ruff format --quiet $(SOURCES)

generate: $(VENV)/.installed ## crds/, docs/api.md and docs/openapi.json from the models, and the chart's part of it
	@$(BIN)/python -m leasegrid.api.generate
	@$(BIN)/python tools/chart.py

chart: $(VENV)/.installed ## the chart's schema, table of values and definitions, from values.yaml and crds/
	@$(BIN)/python tools/chart.py

unit: $(VENV)/.developed ## the unit tier: Python and nothing else
	@$(BIN)/python -m pytest -q tests/unit

coverage: $(VENV)/.developed ## the pure rooms' tables, which must cover every branch, then the rest of the unit tier
	@$(BIN)/python -m coverage run -m pytest -q $(PURE)
	@$(BIN)/python -m coverage report --skip-covered
	@$(BIN)/python -m pytest -q tests/unit $(addprefix --ignore=,$(PURE))

smoke: $(VENV)/.developed ## a few tests on real processes
	@$(BIN)/python -m pytest -q tests/process -m smoke

process: $(VENV)/.developed $(VENV)/s3-server/.installed ## every test on real member processes, so many at a time (WORKERS=4)
	@$(BIN)/python -m pytest -q --durations=15 --numprocesses $(WORKERS) --dist worksteal tests/process

integration: $(VENV)/.developed $(VENV)/s3-server/.installed ## the API on a real kube-apiserver (binaries in KUBEBUILDER_ASSETS)
	@$(BIN)/python -m pytest -q --durations=15 tests/integration

chart-test: $(VENV)/.developed ## the chart on a real kube-apiserver (binaries in KUBEBUILDER_ASSETS, helm there or on the PATH)
	@$(BIN)/python -m pytest -q tests/chart

e2e: $(VENV)/.developed ## what README.md does on Kubernetes, and much more, on a kind cluster made from nothing (docker, kind, kubectl, helm)
	@$(BIN)/python -m pytest -q --durations=10 tests/e2e

soak-cluster: $(VENV)/.developed ## a kind cluster of three nodes, shaken for 20 minutes (MINUTES=3 SEED=7), then judged (docker, kind, kubectl, helm)
	@$(BIN)/python -m pytest -q tests/e2e/test_soak.py --soak-minutes $(MINUTES) --soak-seed $(SEED)

soak: $(VENV)/.developed ## every campaign that tries to break it, for hours (SOAK=--short: less of each; SOAK="--only fencing"; SOAK=--seed=7)
	@$(BIN)/python -m tests.soak $(SOAK)
	@$(if $(findstring --only,$(SOAK)),,$(MAKE) --no-print-directory soak-cluster MINUTES=$(if $(findstring --short,$(SOAK)),3,$(MINUTES)))

unhappy: $(VENV)/.developed $(VENV)/s3-server/.installed ## every unhappy path beside the test that shows it
	@$(BIN)/python -m pytest -q -m unhappy --paths tests

bench-claims: $(VENV)/.developed ## claims on a real control plane, beside the bare API server (binaries in KUBEBUILDER_ASSETS)
	@$(BIN)/python -m benchmarks.claims

bench-jobs: $(VENV)/.developed ## jobs and graphs on a real control plane, beside the ideal (binaries in KUBEBUILDER_ASSETS; JOBS="--part first")
	@$(BIN)/python -m benchmarks.jobs $(JOBS)

bench: $(VENV)/.benched ## the figures, beside the limit and the peers, in one run
	@$(BIN)/python -m benchmarks.tasks
	@$(BIN)/python -m benchmarks.shuffle
	@$(BIN)/python -m benchmarks.durable

examples: $(VENV)/.developed ## run every example and its own check
	@$(BIN)/python -m pytest -q tests/process/test_examples.py tests/process/test_examples_mapreduce.py tests/process/test_examples_power_outage.py tests/process/test_foreign_modules.py

$(WHEELS)/.fetched: pyproject.toml constraints.txt | $(VENV)/.installed
	@rm -rf $(WHEELS) && mkdir -p $(WHEELS)
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check -c constraints.txt --wheel-dir $(WHEELS) '.[s3]'
	@touch $@

image: $(WHEELS)/.fetched ## the image leasegrid:dev (IMAGE) on python:…-slim of .venv's version (BASE_IMAGE); needs Docker
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(WHEELS) .
	docker build --build-arg BASE_IMAGE=$(BASE_IMAGE) --build-arg WHEELS=$(WHEELS) \
	  --build-arg REVISION=$$(git rev-parse HEAD) --tag $(IMAGE) .

clean: ## remove what the targets made
	@rm -rf build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis $(VENV)
