# A new user needs two commands, `make demo` and `make test`; each creates the environment in .venv on first use.
#
# PYTHON       interpreter for the environment, 3.11 or newer:  make setup PYTHON=python3.12
# UV           installer: by default uv (from the PATH, else installed into .venv), else pip;  make setup UV=  forces pip
# TORCH_INDEX  index for PyTorch alone. The default PyTorch for Linux carries CUDA (gigabytes); for a processor-only one:
#              make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
# A folder of local wheels named in PIP_FIND_LINKS is used by pip and, through UV_FIND_LINKS, by uv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV ?= auto
TORCH_INDEX ?=
VENV ?= .venv
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup demo test lint notebooks wheel-test realdata lab ui bench clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r name what; do printf '%-16s %s\n' "$$name" "$$what"; done

setup: $(INSTALLED) ## create or update the environment in .venv (the other commands do it when needed)

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "edukit needs Python 3.11 or newer: say make PYTHON=python3.12 ...")'; \
	  $(PYTHON) -m venv $(VENV); }
	@uv='$(UV)'; install="$(BIN)/python -m pip install --quiet"; \
	if [ "$$uv" = auto ]; then \
	  uv="$$(command -v uv || true)"; \
	  if [ -z "$$uv" ] && $(BIN)/python -m pip install --quiet uv; then uv=$(BIN)/uv; fi; \
	fi; \
	if [ -n "$$uv" ]; then install="$$uv pip install --quiet --python $(BIN)/python"; fi; \
	echo "installing edukit and what it needs into $(VENV): $$install"; \
	if [ -n '$(TORCH_INDEX)' ]; then $$install --no-deps --index-url '$(TORCH_INDEX)' "$$(grep '^torch==' constraints.txt)"; fi; \
	$$install -c constraints.txt -e '.[dev,text,causal,privacy]'
	@touch $@

demo: $(INSTALLED) ## find the gaps of an invented cohort of learners; prints where the map, the report and the tracked run are
	@$(BIN)/edukit run map_gaps

test: $(INSTALLED) ## run the quick tests (minutes); browser tests skip where there is no Chromium
	$(PYTEST) -n 2 --dist loadfile -m "not realdata and not wheel and not notebook"

lint: $(INSTALLED) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

notebooks: $(INSTALLED) ## execute every notebook twice in one kernel
	$(PYTEST) -n 2 -m notebook

wheel-test: $(INSTALLED) ## build the wheel and run it in an empty environment
	$(PYTEST) -m wheel

realdata: $(INSTALLED) ## test the loaders and models on real data sets below EDUKIT_DATA
	$(PYTEST) -n 2 -m realdata -rs

lab: $(INSTALLED) ## open the notebooks in JupyterLab
	$(BIN)/edukit lab

ui: $(INSTALLED) ## open the tracked runs
	$(BIN)/edukit ui

bench: $(INSTALLED) ## measure time and memory of every part
	$(BIN)/python -m edukit.experiments.bench

clean: ## remove the environment, build results and caches; outputs/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find edukit experiments tests -type d -name __pycache__ -prune -exec rm -rf {} +
