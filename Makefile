# The first of these that runs, is at least 3.11 and can make a virtual environment; `make setup PYTHON=...` to choose.
PYTHON ?= python3.13 python3.12 python3.11 python3
PY := .venv/bin/python
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo web test check format docs pocket clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP)  ## make .venv and install photowords into it

$(STAMP): pyproject.toml
	@$(PY) -m pip --version >/dev/null 2>&1 || { \
	  for python in $(PYTHON); do \
	    $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	    echo "making .venv with $$python"; \
	    exec $$python -m venv --clear .venv; \
	  done; \
	  echo "photowords needs Python 3.11 or newer with its venv module; on Debian or Ubuntu: apt-get install python3 python3-venv" >&2; \
	  exit 1; }
	$(PY) -m pip install -e '.[dev]'
	@touch $@

demo: setup  ## caption, invert and redraw one photo with the model that ships; pictures in demo/
	.venv/bin/photowords demo --out demo

web: setup  ## open the page on the model that ships; its runs in runs/
	.venv/bin/photowords web --model pocket

test: check  ## the same as check

check: setup  ## format, lint, types, structure, tests, and whether the generated docs are up to date
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m tests.structure
	$(PY) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
	$(PY) docs/generate.py --check

format: setup  ## rewrite the code in the house format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

docs: setup  ## write docs/cli.md from the commands' own options
	$(PY) docs/generate.py

pocket: setup  ## train a pocket model from nothing, which takes the shipped one's place if the judge passes it (hours; see recipes/pocket/README.md)
	$(PY) -m recipes.pocket.build
	$(PY) -m recipes.pocket.report
	$(PY) -m recipes.pocket.install

clean:  ## remove .venv, caches and the demo's pictures; not build/, where the pocket's training lives
	rm -rf .venv demo dist .pytest_cache .mypy_cache .ruff_cache
	find src recipes tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
