# Everything here sets itself up: it needs a Python, make and a package index; bootstrap.sh does it.
PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.ready
unexport PYTHONDONTWRITEBYTECODE # without bytecode every process compiles all it imports: that doubles its start

.PHONY: help run test matrix faults cluster check lint types format bench bench-smoke bench-full bench-links law screenshots clean

help:           ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

run: $(READY)   ## migrate, then web, worker and clock on loopback; without a secret token a demo plays
	@$(BIN)/joinlog up

test: $(READY)  ## every test, on real SQLite, Postgres, Redis and a real browser, which it brings where it can
	@$(BIN)/python -m tests.browser.bring
	$(BIN)/pytest -n 3 --dist loadgroup

matrix: $(READY) ## every test on every Python of 3.11 to 3.14 that is found here
	@$(BIN)/python -m tests.browser.bring
	@PYTHON="$(PYTHON)" GOAL=matrix sh bootstrap.sh matrix
SECONDS ?= 120
faults: $(READY) ## kills, stops and fills everything at random for SECONDS, then proves that nothing was lost; SEED repeats one
	$(BIN)/python -m tests.faults.campaign --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(if $(KILLS),--kills $(KILLS)) $(if $(DATABASE),--database $(DATABASE)) $(if $(RATE),--rate $(RATE))

cluster: $(READY) ## an installation over seven hosts (network namespaces; root, haproxy, pgbouncer), harmed under load
	$(BIN)/python -m tests.cluster $(if $(SEED),--seed $(SEED)) $(if $(PER_SECOND),--per-second $(PER_SECOND)) $(if $(ONLY),--only "$(ONLY)")

check: lint types test bench-smoke ## what CI runs

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

format: $(READY) ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)       ## the small benchmarks, under 15 minutes; writes docs/explanation/benchmarks.md
	$(BIN)/python -m tests.bench small

bench-full: $(READY)  ## the large sizes: storm of 100,000, ten million events in the inbox
	$(BIN)/python -m tests.bench full

bench-smoke: $(READY) ## a quick slice that asserts no times, so that the benchmarks cannot rot
	$(BIN)/python -m tests.bench smoke

bench-links: $(READY) ## linking scored against the simulated truth, beside the rules in use elsewhere
	$(BIN)/python -m tests.bench.links

law: $(READY)         ## the merge law, the state machine and the four roads with forty times as many orders; an hour
	TEST_EFFORT=40 $(BIN)/pytest -n 2 --timeout 3600 tests/core/test_merge_law.py tests/workers/test_state_machine.py \
		tests/workers/zoom/test_four_roads.py

screenshots: $(READY) ## docs/screenshots/*.png, every page in light, dark and phone size
	$(BIN)/python -m tests.screenshots

clean:          ## remove what the targets above installed
	rm -rf .venv .venv-matrix .bootstrap

$(READY): bootstrap.sh bootstrap.txt pyproject.toml uv.lock
	@PYTHON="$(PYTHON)" GOAL="$(firstword $(MAKECMDGOALS))" sh bootstrap.sh
