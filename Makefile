# Catflap's tasks. `make help` lists them.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3.13) python3)
VENV := .venv
BIN := $(VENV)/bin
DEBIAN := gcc libc6-dev make libpython3-dev python3-venv redis-server redis-tools nginx-light curl wget strace

.PHONY: help test test-compiled test-pure build
help:
	@echo "make test: build, then the suite in both modes"

$(VENV)/packages: pyproject.toml
	@if [ "$$(id -u)" = 0 ]; then \
	  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEBIAN) >/dev/null; \
	  rm -f /usr/sbin/policy-rc.d; \
	elif ! dpkg -s $(DEBIAN) >/dev/null 2>&1; then \
	  echo "missing packages: sudo apt-get install $(DEBIAN)"; exit 1; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip setuptools wheel cython cffi
	$(BIN)/pip install -q --no-build-isolation -e '.[test]'
	touch $@

build: $(VENV)/packages
	$(BIN)/python setup.py -q build_ext --inplace

test-compiled: build
	$(BIN)/python -m pytest -q tests

test-pure: build
	CATFLAP_PURE=1 $(BIN)/python -m pytest -q tests/interpose

test: test-compiled test-pure
