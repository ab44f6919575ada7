# Every target makes the virtual environment that it needs; nothing has to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FOLDERS := cli client common server simulations

.PHONY: setup demo test quick lint bench experiments clean

setup: $(STAMP)

# The packages live at the root; mypy finds them under their installed names through these links.
$(STAMP): pyproject.toml constraints.txt Makefile
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	mkdir -p $(VENV)/links/sottovoce
	for folder in $(FOLDERS); do ln -sfn ../../../$$folder $(VENV)/links/sottovoce/$$folder; done
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/sottovoce simulate --data ml-100k --epsilon 8 --nodes 4 --seed 0 --out runs/demo --force

test: $(STAMP)
	$(BIN)/python -m pytest tests

quick: $(STAMP)
	$(BIN)/python -m pytest tests -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p sottovoce
	$(BIN)/mypy tests benchmarks

bench: $(STAMP)
	$(BIN)/python benchmarks/simulation.py

# A sweep that was interrupted goes on; finished cells are not run again. msweb is fetched where it does not lie nearby,
# and left out where it cannot be. The audit's run stands for the curves' ε = 8.
EXPERIMENTS := $(basename $(notdir $(wildcard experiments/*.toml)))
MSWEB ?= $(or $(wildcard ../shared/data/msweb),msweb)
RESULTS := runs/experiments

experiments: $(STAMP)
	for name in $(filter-out msweb,$(EXPERIMENTS)); do \
		$(BIN)/sottovoce sweep experiments/$$name.toml --out $(RESULTS)/$$name || exit $$?; \
	done
	$(BIN)/sottovoce sweep experiments/msweb.toml --data $(MSWEB) --out $(RESULTS)/msweb
	for epsilon in 1 8; do \
		$(BIN)/sottovoce simulate --data ml-100k --epsilon $$epsilon --seed 0 --references none --force \
			--out $(RESULTS)/audited-$$epsilon && \
		$(BIN)/sottovoce audit $(RESULTS)/audited-$$epsilon --shadows 0 --readers 0 || exit $$?; \
	done
	$(BIN)/sottovoce report $$(dirname $(RESULTS)/*/results.parquet) --out $(RESULTS)/report.html \
		$$(printf -- '--audit %s ' $(RESULTS)/*/audit.json) $$(printf -- '--tuning %s ' experiments/tuning-*.json)

clean:
	rm -rf $(VENV) build *.egg-info
