# `make` prepares .venv; `make demo`, `make test` and `make lint` prepare it too when it is missing.
#   make PYTHON=/path/to/python3.11         another interpreter (the bpy wheel exists for Python 3.11 only)
#   make test PYTEST_ARGS="-k splat -x"     a part of the tests

VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH_INDEX ?=
PYTEST_ARGS ?= -n auto --dist loadfile
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: venv demo test lint extension clean-venv
.DEFAULT_GOAL := venv

venv: $(STAMP)

# A missing system library is reported but not fatal: a Blender executable may do instead of the bpy wheel.
# torch first, by itself: when another index is asked for, nothing else comes from there.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@$(BIN)/python -m recon_core.system_libraries --install || true
	$(PIP) install --quiet -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(PIP) install --quiet -c constraints.txt -e '.[blender,dev]'
	@touch $@
	@$(BIN)/recon --version >/dev/null && echo "Ready: $(BIN)/recon (try '$(BIN)/recon doctor')"

# Debian splits the venv module off Python: as root it can be added, otherwise the message says how.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed: sudo apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11; give another one with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { test "$$(id -u)" = 0 && \
	  apt-get update -qq && apt-get install -qq -y --no-install-recommends python3-venv >/dev/null; } || \
	  { echo "The venv module is missing: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

demo: $(STAMP)
	$(BIN)/recon demo

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/pyright --level error --pythonpath $(BIN)/python

# Zips of the Blender extension: make extension EXTENSION_ARGS="--platform windows-x64"
extension: $(STAMP)
	$(BIN)/python tools/build_extension.py $(EXTENSION_ARGS)

clean-venv:
	rm -rf $(VENV)
