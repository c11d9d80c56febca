# kshot: `make demo` does the main job, `make test` passes the tests. `make help` lists the rest.
#
# Each target creates .venv and installs what it needs. Stamp files in .venv record what is installed, so a second run starts at once;
# a change of pyproject.toml or constraints.txt installs again.
#
#   PYTHON       the Python that creates .venv; must be 3.11 or newer (python3.13, 3.12 and 3.11 are tried too)
#   TORCH_FLAGS  additional flags for the pip call that installs torch, such as an extra index with its CPU builds
#   ARGS         additional arguments for the command of demo, test, bench, hostile and pictures: make test ARGS="-m 'not slow'"

PYTHON ?= python3
TORCH_FLAGS ?=
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet -c constraints.txt
STAMP := $(VENV)/.kshot
PINS := pyproject.toml constraints.txt
PROBE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test lint types layout docs pictures doctest bench hostile hostile-service long clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1|/' | awk -F'|' '{printf "%-21s %s\n", $$1, $$2}'

demo: $(STAMP)-demo ## Train, evaluate, save and use a learner on Omniglot (about five minutes on two cores)
	$(VENV)/bin/kshot demo $(ARGS)

install: $(STAMP)-test ## Create .venv and install all that the other targets need

# The tests start hundreds of Python processes. Compiling kshot once for all of them, where it is not forbidden, saves a fifth of the time.
test: export PYTHONDONTWRITEBYTECODE :=
test: export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache
test: $(STAMP)-test ## Run all tests, one process per core; name the ten slowest
	$(PY) -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal $(ARGS)

lint: $(STAMP)-test ## Check the style: ruff's rules and its format
	$(PY) -m ruff check
	$(PY) -m ruff format --check

types: $(STAMP)-test ## Check the types: mypy, strict
	$(PY) -m mypy

docs: $(STAMP)-test ## Build the pages into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

pictures: $(STAMP)-test ## Draw the pictures of the pages again, into docs/images/concepts
	PYTHONPATH=scripts $(PY) -m pictures $(ARGS)

layout: $(STAMP)-test ## Check the import order of the path (part of `make test`)
	$(PY) -m pytest tests/test_layout.py

doctest: $(STAMP)-test ## Run the examples in docstrings (those in the pages and the README are part of `make test`)
	$(PY) -m pytest --doctest-modules src/kshot

bench: $(STAMP)-bench ## Measure the speed, as tables with ratios
	$(PY) -m benchmarks $(ARGS)

hostile: $(STAMP)-test ## Try 4,000 hostile cases, and record in tests/hostile/counts.json how many ended as promised (up to half an hour)
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(PY) -m hostile $(ARGS)

hostile-service: $(STAMP)-test ## Kill the service while it writes, fuzz it for ten minutes; record in tests/hostile_service/counts.json what was lost
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(PY) -m hostile_service $(ARGS)

long: $(STAMP)-demo ## Go on with the next unfinished training of runs/long.toml, one thread at the lowest priority
	$(PY) scripts/long.py $(ARGS)

clean: ## Remove .venv and what the tools left; runs/ and demo/ are yours and are kept
	rm -rf $(VENV) build dist site src/kshot.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# A working .venv is kept, whoever created it. A broken one (an interrupted install, a Python that is gone) is created again.
$(STAMP)-venv:
	@found=""; if ! $(PY) -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	  for python in "$(PYTHON)" python3.13 python3.12 python3.11; do \
	    if "$$python" -c '$(PROBE)' >/dev/null 2>&1; then found="$$python"; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "kshot needs Python 3.11 or newer with its venv module." >&2; \
	    echo "Found $$($(PYTHON) --version 2>/dev/null || echo nothing that runs) as $(PYTHON); python3.13, python3.12 and python3.11 do not work either." >&2; \
	    echo "Install one (on Debian and Ubuntu the package python3-venv too), or name yours: make demo PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  echo "Creating $(VENV) with $$("$$found" --version)"; \
	  "$$found" -m venv --clear $(VENV); \
	fi
	@touch $@

# torch is installed first and alone, pinned, so that no later requirement can bring another version. setuptools builds kshot without
# an isolated environment, which the pins would not reach.
$(STAMP)-torch: $(STAMP)-venv $(PINS)
	@echo "Installing torch (the first time this takes some minutes)"
	$(PIP) $(TORCH_FLAGS) torch==2.13.0
	$(PIP) setuptools
	@touch $@

$(STAMP)-demo: $(STAMP)-torch
	$(PIP) --no-build-isolation -e ".[plots]"
	@touch $@

$(STAMP)-test: $(STAMP)-torch
	$(PIP) --no-build-isolation -e ".[plots,track,docs,test,photos,text,tables,web]"
	@touch $@

# easyfsl alone: its dependencies would bring a torchvision that does not load beside a CPU torch, and the benchmark uses one class of
# easyfsl that needs none of them.
$(STAMP)-bench: $(STAMP)-demo
	$(PIP) --no-deps easyfsl==1.5.0
	@touch $@
