# `make help` lists the targets. PYTHON is used once, to make .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEMO := build/demo
# Not below the template, where ruff would put it: Cookiecutter takes every file there for a part of it.
export RUFF_CACHE_DIR := $(CURDIR)/.ruff_cache

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick lint types bench manifest lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## install what the template's tests need, pinned, into .venv

$(READY): requirements/dev.txt {{cookiecutter.project_slug}}/requirements/uv.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11, 3.12 or 3.13 is needed, found %d.%d; try: make setup PYTHON=python3.12" % v)'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement '{{cookiecutter.project_slug}}/requirements/uv.txt'
	@$(BIN)/uv pip sync --quiet --python .venv --compile-bytecode --require-hashes requirements/dev.txt
	@$(BIN)/python -c 'import pathlib; pathlib.Path("$(READY)").touch()'

demo: $(READY) ## generate the sample project and run it: from real flights to a promoted model with a report
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/cookiecutter . --no-input --output-dir $(DEMO)
	$(MAKE) --directory $(DEMO)/flight-delay demo PYTHON=$(abspath $(BIN)/python)
	@echo "the project: $(DEMO)/flight-delay"

test: lint types ## everything: static checks, all combinations, whole projects generated and run
	$(BIN)/pytest

quick: $(READY) ## the tests that take seconds
	$(BIN)/pytest -m 'not slow'

lint: $(READY)
	$(BIN)/ruff check . --extend-exclude "**/tests/unit/__init__.py" --extend-exclude "**/src/*score.py" --extend-exclude "**/notebooks"
	$(BIN)/ruff format --check . --extend-exclude "**/tests/unit/__init__.py" --extend-exclude "**/src/*score.py" --extend-exclude "**/notebooks"

types: $(READY)
	$(BIN)/mypy

bench: $(READY) ## the benchmarks; prints ratios
	$(BIN)/python -m benchmarks

manifest: $(READY) ## write tests/manifest.txt anew after adding or removing a generated file
	$(BIN)/python -m tests.manifest

lock: $(READY) ## pin requirements/dev.txt anew
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade dev.in --output-file dev.txt

clean: ## delete what was built
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis
