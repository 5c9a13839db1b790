# Everything here sets itself up: it needs Python 3.11+, make and a package index.
PYTHON ?= python3
BIN    := .venv/bin
UV     := .bootstrap/bin/uv
READY  := .venv/.ready

.PHONY: help run test check lint types format bench bench-smoke bench-full bench-links law screenshots clean

help:           ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

run: $(READY)   ## migrate, then web, worker and clock on loopback; without a secret token a demo plays
	@$(BIN)/joinlog up

test: $(READY)  ## every test, on real SQLite, Postgres, Redis and a real browser
	$(BIN)/pytest -n 3 --dist loadgroup

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

law: $(READY)         ## the merge law with many more orders of the stories about people
	LAW_ORDERS=2000 $(BIN)/pytest -n 2 tests/core/test_merge_law.py

screenshots: $(READY) ## docs/screenshots/*.png, every page in light, dark and phone size
	$(BIN)/python -m tests.screenshots

clean:          ## remove what the targets above installed
	rm -rf .venv .bootstrap

# uv installs exactly what uv.lock names. It comes from the package index into a private folder, as bootstrap.txt has it.
$(UV): bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Joinlog needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv --clear .bootstrap
	.bootstrap/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r bootstrap.txt
	@touch $@

# First with the certificates of this machine, which know a company's proxy, then with those that uv brings along.
$(READY): $(UV) pyproject.toml uv.lock
	@python="$$($(PYTHON) -c 'import sys; print(sys.executable)')"; \
	  UV_SYSTEM_CERTS=1 $(UV) sync --quiet --frozen --python "$$python" || $(UV) sync --quiet --frozen --python "$$python"
	@touch $@
