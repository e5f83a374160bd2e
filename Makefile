# Catflap's tasks; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
# looked for when it is needed: it may have been installed a moment before
PYTHON ?= $(shell for v in 11 12 13; do command -v /usr/bin/python3.$$v && exit; done; echo python3)
LIBOS ?= catnap
MINUTES ?= 60
STAGE := build/pure
TOOLS := build/tools
COVERAGE = PYTHONPATH=$(TOOLS) COVERAGE_FILE=build/coverage $(BIN)/python -m coverage
FUZZ = nice $(BIN)/python tests/net/fuzz_net.py
RESULTS := build/results

BUILD_PACKAGES := gcc libc6-dev libfabric-dev libpython3-dev liburing-dev python3-venv
DEMO_PACKAGES := redis-server redis-tools
BENCH_PACKAGES := $(DEMO_PACKAGES) ethtool iperf3 iproute2 linux-perf memcached nginx-light postgresql wrk
TEST_PACKAGES := $(BENCH_PACKAGES) bash bind9-dnsutils binutils bubblewrap busybox-static coturn cron curl \
	dnsmasq-base fcgiwrap gdb git haproxy ibverbs-providers ibverbs-utils libdpdk-dev libjemalloc2 libmemcached-tools \
	libpython3.11-testsuite libtcmalloc-minimal4 mosquitto mosquitto-clients musl-tools ncat nodejs \
	openjdk-17-jdk-headless openssh-client openssh-server openssl perl php-fpm pkg-config qemu-system-x86 rsync socat \
	strace sudo systemd tcpdump util-linux valgrind wget
LAB_PACKAGES := busybox-static gcc ibverbs-providers ibverbs-utils iproute2 libc6-dev libfabric-bin libfabric-dev procps \
	qemu-system-x86 util-linux

# tests that start programs have a sample of their own for interpreted mode; packaging has no mode
PROGRAMS := $(wildcard tests/scenarios tests/programs tests/oracle)
UNIT := $(filter-out tests/scenarios tests/programs tests/oracle tests/packaging tests/sanitize tests/lab tests/__pycache__,$(patsubst %/,%,$(wildcard tests/*/)))
LAB := $(filter-out %_smoke.py,$(wildcard tests/lab/test_*.py))
STAGED := cd $(STAGE) && CATFLAP_PURE=1 FLAP_STAGED=1 FLAP_ROOT=$(CURDIR)/$(STAGE)
STAGED_PYTEST = $(STAGED) $(CURDIR)/$(BIN)/python -m pytest -q
PURE_UNIT_TESTS = $(STAGED_PYTEST) $(UNIT)
PURE_SAMPLE_TESTS = $(STAGED_PYTEST) -m pure_sample $(PROGRAMS)

# The full matrix in parts, the longest first. Most tests wait for something: several parts share the cores.
JOBS ?= $(shell echo $$((2 * $$(nproc))))
PROGRAM_TESTS := $(sort $(wildcard tests/programs/test_*.py))
compiled-scenarios := tests/scenarios
compiled-rest := tests/oracle tests/packaging $(UNIT)
compiled-programs-1 := $(wordlist 1,13,$(PROGRAM_TESTS))
compiled-programs-2 := $(wordlist 14,27,$(PROGRAM_TESTS))
compiled-programs-3 := $(wordlist 28,99,$(PROGRAM_TESTS))
PARTS := compiled-scenarios compiled-rest compiled-programs-2 compiled-programs-1 compiled-programs-3 interpreted-sample \
	interpreted-unit

.PHONY: help demo test test-all endurance test-compiled test-pure coverage-net fuzz-net build bench goodput lint format sanitize \
	lab debug clean build-packages test-packages ready stage

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: build ## real redis under Catflap and on the kernel, side by side; installs what is missing
	@.ci/packages $(DEMO_PACKAGES)
	@$(BIN)/python -m benchmarks.demo

# most tests wait for something: the interpreted half shares the cores with the compiled one, and tells afterwards
test: ready lint ## lint, then the suite in both modes; installs what is missing
	@printf '%s\n' test-compiled 'test-pure >build/test-pure.log 2>&1' | xargs -P 2 -I HALF sh -c '$(MAKE) -s HALF'; \
	failed=$$?; cat build/test-pure.log; exit $$failed

# the packages are fetched and unpacked while the compiler runs
ready: build-packages
	@.ci/packages $(TEST_PACKAGES) & packages=$$!; $(MAKE) -s build && wait $$packages

# of the lab the least, whose guest is emulated
test-compiled: build test-packages ## the suite, compiled
	$(BIN)/python -m pytest -q tests --ignore=tests/sanitize $(LAB:%=--ignore=%) -m "not pure_sample"

test-pure: build test-packages stage ## the suite, interpreted, in a copy of the tree without one compiled module
	$(PURE_UNIT_TESTS)
	$(PURE_SAMPLE_TESTS)

test-all: export FLAP_MATRIX := full
test-all: build test-packages stage ## the full matrix of tests, libOSes and modes; writes tests/matrix.json and docs/matrix.md
	@rm -rf $(RESULTS) && mkdir -p $(RESULTS)
	-@printf '%s\n' $(PARTS) | xargs -P $(JOBS) -I PART sh -c '$(MAKE) -s part-PART >$(RESULTS)/PART.log 2>&1 || echo PART: failures'
	-@for part in $(PARTS); do $(MAKE) -s part-$$part AGAIN=-again || echo "$$part: failures once more"; done
	$(BIN)/python tests/packaging/matrix.py $(RESULTS) tests/matrix.json docs/matrix.md $(PARTS)

# what has failed is kept for each part, and with AGAIN=-again run once more, one after the other
OPTIONS = --junitxml=$(CURDIR)/$(RESULTS)/$(@:part-%=%)$(AGAIN).xml -o cache_dir=$(CURDIR)/$(RESULTS)/cache-$(@:part-%=%) \
	$(if $(AGAIN),--last-failed --last-failed-no-failures=none)

part-compiled-%:
	$(BIN)/python -m pytest -q $(compiled-$*) $(OPTIONS)

part-interpreted-unit:
	$(PURE_UNIT_TESTS) $(OPTIONS)

part-interpreted-sample:
	$(PURE_SAMPLE_TESTS) $(OPTIONS)

endurance: build test-packages ## nginx reloads, redis restarts, killed clients: MINUTES (60) under each libOS
	FLAP_MINUTES=$(MINUTES) $(BIN)/python -m pytest -q -s tests/programs/test_endurance.py

# what only these two need lies aside, out of the virtual environment
$(TOOLS)/installed: | $(VENV)/installed
	@$(BIN)/pip install -q --no-deps --target $(TOOLS) 'atheris>=3' 'coverage>=7'
	@touch $@

coverage-net: $(TOOLS)/installed ## branch coverage of Catnip's protocols by their tests, interpreted; at least 95 %
	CATFLAP_PURE=1 $(COVERAGE) run --branch --source=libos/net -m pytest -q tests/net --timeout=900 --ignore=tests/net/test_netsim.py
	$(COVERAGE) report --skip-covered --show-missing --fail-under=95

fuzz-net: build $(TOOLS)/installed ## fuzz Catnip's protocols for MINUTES (60): half led by coverage, half compiled
	CATFLAP_PURE=1 $(FUZZ) guided parsers $$(($(MINUTES) * 60 / 32))
	CATFLAP_PURE=1 $(FUZZ) guided stack $$(($(MINUTES) * 60 / 4))
	$(FUZZ) many parsers $$(($(MINUTES) * 60 / 48))
	$(FUZZ) many stack $$(($(MINUTES) * 60 / 3))

stage: build
	@$(BIN)/python tests/packaging/stage.py $(STAGE)

build-packages:
	@.ci/packages $(BUILD_PACKAGES)

test-packages:
	@.ci/packages $(TEST_PACKAGES)

$(VENV)/installed: pyproject.toml | build-packages
	@echo "catflap: making the virtual environment $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@echo "catflap: installing Python packages"
	@$(BIN)/pip install -q --upgrade pip 'setuptools>=77.0.3' 'cython>=3.1' 'cffi>=1.16'
	@mkdir -p build
	@$(BIN)/pip install -v --no-build-isolation -e '.[test,bench]' 2>&1 | tee build/install.log \
	  | sed -un 's/^ *\(catflap: [a-z]* [^=]*\)$$/\1/p' || { tail -n 40 build/install.log; exit 1; }
	@touch $@

build: $(VENV)/installed ## compile what changed, in place; the first time with a virtual environment
	@$(BIN)/python setup.py -q build_ext --inplace

bench: build ## the benchmarks; writes build/figures.json and the curves in docs
	@.ci/packages $(BENCH_PACKAGES)
	$(BIN)/python -m benchmarks --json build/figures.json --plots docs

goodput: build ## the goodput of Catnip's TCP under a fake clock; writes docs/goodput.json and the table in docs/goodput.md
	$(BIN)/python tests/net/test_goodput_grid.py

lint: build ## check style and warnings of Python and C
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python setup.py -q lint_c
	for source in tests/scenarios/c/*.c; do gcc -Wall -Wextra -Werror -pthread -D_GNU_SOURCE -fsyntax-only $$source; done

format: build ## lay out Python as `make lint` wants it
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

sanitize: build test-packages ## the C under the sanitizers
	$(BIN)/python -m pytest -q tests/sanitize

lab: build ## real RDMA verbs and NVMe in a small virtual machine, emulated; installs what is missing
	@.ci/packages $(LAB_PACKAGES)
	$(BIN)/python -m pytest -q --durations=0 tests/lab

debug: build ## PROGRAM="curl URL": stop in pdb inside the stack at its first pop
	@test -n '$(PROGRAM)' || { echo 'catflap: no program given: make debug PROGRAM="curl URL"' >&2; exit 2; }
	$(BIN)/catflap run --debug --libos $(LIBOS) -- $(PROGRAM)

clean: ## remove what was built; the virtual environment stays
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find $(wildcard interpose libos shim tests benchmarks) -name __pycache__ -prune -exec rm -r {} +
	find interpose libos -name '*.so' -delete
	rm -f interpose/libcatflap_host.txt
