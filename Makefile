# `make demo` and `make test` need Python >= 3.10 and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test fuzz lint format docs lock clean

demo: $(READY)
	@$(BIN)/assay demo --results-path demo-results

test: $(READY)
	@$(BIN)/python -m pytest -n auto --dist worksteal

# Hours, not minutes: damaged files, random networks, kills and long runs; another ASSAY_FUZZ_SEED tries
# others (see SECURITY.md).
fuzz: export ASSAY_FUZZ_FILES ?= 10000
fuzz: export ASSAY_FUZZ_COMMANDS ?= 100
fuzz: export ASSAY_FUZZ_NETWORKS ?= 1000
fuzz: export ASSAY_FUZZ_KILLS ?= 50
fuzz: $(READY)
	@$(BIN)/python -m pytest -n auto --dist worksteal tests/fuzz tests/lab/test_kill.py
	@$(BIN)/python -m tests.fuzz.guided 1800
	@$(BIN)/python -m benchmarks.soak

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Rewrites the generated parts of docs/.
docs: $(READY)
	$(BIN)/python tools/update_docs.py

# Rewrites the lock file from pyproject.toml, for every supported Python at once.
lock: $(READY)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal \
		--python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --no-annotate --quiet --output-file requirements.lock

clean:
	rm -rf .venv demo-results

# The stamp is newer than the lock file only when the environment holds exactly what that names.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and \
		"assay needs Python 3.10 or newer: call make PYTHON=/path/to/python3")'
	@echo "Setting up .venv (once; a few minutes)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
