# Two commands do all the set-up: `make top` and `make test`. Both say what they install; the scripts are in setup/.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
TOOLS := $(CURDIR)/$(BIN):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
UV ?= $(BIN)/uv
UV_VERSION := 0.13.9

.NOTPARALLEL:
.PHONY: help setup setup-dev top test check format bench fleet-demo tour-pictures inferno sdk lock proto wheel clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*  ## (.*)/  make \1\t\2/' | expand -t 22
	@echo
	@echo '  make top ARGS="--once --duration 5"   passes arguments on; SUDO= never asks for root'

setup:  ## install what running needs: BCC from the distribution, Python packages into .venv
	@setup/system.sh need python bcc
	@setup/venv.sh

setup-dev:
	@setup/system.sh need python
	@setup/venv.sh dev

top: setup  ## set up, then run aperture-top on this machine; with no terminal it prints one report
	@exec setup/as-root.sh $(BIN)/aperture-top $(ARGS)

test: setup-dev  ## set up with the test tools, then run the tests; the BPF tests load into this kernel
	@setup/system.sh try bcc tools browser
	@setup/inferno.sh || echo 'setup: without inferno the SVG tests are skipped' >&2
	@setup/wasm.sh || echo 'setup: without its compilers the filters are not built anew' >&2
	@setup/java.sh || echo 'setup: without Java runtimes the tests of Java use the one of this machine' >&2
	@setup/node.sh $(UV)
	@PATH="$(TOOLS):$$PATH" exec setup/as-root.sh --or-not setup/tests.sh $(BIN)/python $(ARGS)

check: setup-dev  ## format, lint, types, layers, generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@setup/proto.sh --check

format: setup-dev  ## let ruff format, and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup-dev  ## measure beside the named peers; results in bench/results/
	@setup/system.sh need bcc
	@setup/system.sh try tools browser peers
	@PATH="$(TOOLS):$$PATH" exec setup/as-root.sh $(BIN)/python -m bench $(ARGS)

fleet-demo: setup-dev  ## an aggregator, this machine's agent and 50 simulated ones, and the screens on them
	@setup/system.sh try bcc
	@exec setup/as-root.sh --or-not $(BIN)/python -m bench.fleet.demo

tour-pictures: setup-dev  ## take the pictures of docs/tour.md anew, of a program that runs here; three minutes, as root
	@setup/system.sh need bcc
	@exec setup/as-root.sh $(BIN)/python -m bench.tour $(ARGS)

sdk: setup-dev  ## build the filters that come along anew, from sdk/ into aperture_tui/filters/ready
	@setup/wasm.sh
	@sdk/build.sh aperture_tui/filters/ready

inferno:  ## install inferno (SVG flame graphs) with cargo
	@setup/inferno.sh

# Hashes of every platform's files; the dev lock holds only what the base lock lacks, at versions that fit it. Those of
# deploy/ have the versions that are tested, for the images.
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links
TESTED = --constraint requirements.lock --constraint requirements-dev.lock
lock: setup-dev  ## write requirements.lock, requirements-dev.lock and those of deploy/ anew from pyproject.toml
	@[ -x "$(UV)" ] || command -v "$(UV)" >/dev/null || $(BIN)/pip install --quiet uv==$(UV_VERSION)
	$(COMPILE) pyproject.toml --group build --output-file requirements.lock $(LOCK_ARGS)
	$(COMPILE) --group dev --constraint requirements.lock --output-file requirements-dev.lock $(LOCK_ARGS)
	$(COMPILE) pyproject.toml --group build $(foreach extra,fleet filters inlines web gpu,--extra $(extra)) $(TESTED) \
		--output-file deploy/agent.lock $(LOCK_ARGS)
	$(COMPILE) pyproject.toml --group build --extra aggregator $(TESTED) --output-file deploy/aggregator.lock $(LOCK_ARGS)

proto: setup-dev  ## write the generated code in aperture_tui/wire/ anew from proto/
	@setup/proto.sh .

wheel: setup-dev  ## build dist/*.whl
	$(BIN)/python -m build --wheel --no-isolation

clean:  ## remove .venv, caches and what was built; installed packages of the system stay
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis tests/programs/bin
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
