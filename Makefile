# Every target does all of its set-up itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test faults lint format bench lock test-long fuzz mutants kills soak

BIN := .venv/bin
PACKAGES := bot trading storage
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup: ## .venv with the hash-locked dependencies for tests and development
	@scripts/set-up dev

demo: ## exchange, chat and agent in one command, all simulated, on this machine
	@scripts/set-up runtime
	@exec $(BIN)/umbra demo

test: lint ## everything: lint, types, and every test, with coverage gates
	@exec scripts/run-tests

faults: setup ## the catalogue of faults with the tests that prove each row; ARGS=--tests names them
	@exec $(BIN)/python -m tests.catalogue $(ARGS)

test-long: setup ## seeds of the simulated world, SEEDS=2000, then the whole of what `test` samples
	@scripts/play-seeds $(or $(SEEDS),2000)
	@WHOLE=1 exec $(BIN)/python -m pytest -q -n 2 --dist worksteal \
		$$(grep -rl 'tests\.sampled' tests --include='test_*.py' | sort)

fuzz: setup ## every reader of foreign text with INPUTS=1000000 bent inputs each
	@FUZZ_INPUTS=$(or $(INPUTS),1000000) exec $(BIN)/python -m pytest -q -n 2 --dist worksteal \
		tests/security/test_parsers.py tests/security/test_foreign_data.py

mutants: setup ## small errors put into what decides about money, N=300 SEED=1: do tests notice?
	@exec $(BIN)/python -m tests.mutants $(or $(N),300) $(or $(SEED),1)

kills: setup ## N=300 deaths by SIGKILL at moments of chance, SEED=1; goes on where it was broken off
	@exec $(BIN)/python -m tests.e2e.kills $(or $(N),300) $(or $(SEED),1)

soak: setup ## one agent in faulty weather for HOURS=72; goes on where it was broken off
	@exec $(BIN)/python -m tests.e2e.soak $(or $(HOURS),72)

lint: setup ## ruff, ruff format and mypy strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --num-workers 2

format: setup ## let ruff sort imports and lay the code out
	@$(BIN)/ruff check --quiet --select I --fix .
	@$(BIN)/ruff format .

bench: setup ## the benchmarks, as one table
	@exec $(BIN)/python -m benchmarks

LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --only-binary :all: \
	--generate-hashes --no-emit-index-url --no-header --no-annotate

lock: setup ## newest versions that fit pyproject.toml, with hashes and no index address
	@$(LOCK) pyproject.toml --extra keyring --extra notify --extra postgres --output-file requirements/runtime.txt
	@$(LOCK) pyproject.toml --extra keyring --extra notify --extra postgres --group dev --constraint requirements/runtime.txt \
		--output-file requirements/dev.txt
	@printf 'hatchling\nuv\n' | $(LOCK) - --constraint requirements/dev.txt --output-file requirements/build.txt
	@git --no-pager diff --stat -- requirements
