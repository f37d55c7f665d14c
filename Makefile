PYTHON ?= python3
BIN := .venv/bin


.PHONY: setup run test slow check chaos bench format clean

# Everything that run and test need, made once; later calls only look whether it is there.
setup: .venv/installed node_modules/installed build/encoder/manifest.json

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

node_modules/installed: package.json package-lock.json
	npm ci --silent --no-audit --no-fund
	touch $@

build/encoder/manifest.json: .venv/installed inference/export.py
	$(BIN)/python -m inference.export build/encoder
	touch $@

run: setup
	@$(BIN)/python app.py run

test: setup
	$(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder -m "not slow"

# What trains, exports or loads torch, one mail's walk through Slack and one through Teams, and the
# long fault tests in short form: for those who change that, and CI.
slow: setup
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m slow

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .

# Kills, outages and clocks, at full size: minutes long.
chaos: setup
	MAILDESK_CHAOS=full $(BIN)/python -m pytest -q tests/chaos --timeout 900

.venv/bench: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[bench]"
	touch $@

bench: setup .venv/bench
	@missed=0; for script in bench/*.py; do \
		echo "== $$script"; $(BIN)/python $$script || missed=1; done; exit $$missed

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv node_modules build
