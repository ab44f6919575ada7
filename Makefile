# Every target makes the virtual environment that it needs; nothing has to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FOLDERS := cli client common server simulations
TEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: setup demo federation faults page proto test quick lint bench experiments clean

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

# A server and four nodes on this machine, over TLS: three rounds, a model on every node, one person's list.
federation: $(STAMP)
	$(BIN)/python -m sottovoce.simulations.demonstration runs/federation

# Nodes and servers are killed, disks fill, clocks are wrong: ten moments of each.
# Three at a time, since a fault is mostly waited for.
faults: $(STAMP)
	SOTTOVOCE_FAULT_SEEDS=10 $(BIN)/python -m pytest --numprocesses 3 tests/test_faults.py

# The demo's model, as the person behind a device sees it.
page: $(STAMP)
	test -d runs/demo/bundle || $(MAKE) demo
	$(BIN)/sottovoce client serve --bundle runs/demo/bundle

# The code that gRPC generates from its description is part of the repository.
proto: $(STAMP)
	cd $(VENV)/links && PATH="$(CURDIR)/$(BIN):$$PATH" python -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. \
		--mypy_out=. --mypy_grpc_out=. sottovoce/client/service/device.proto

test: $(STAMP)
	$(TEST) tests

quick: $(STAMP)
	$(TEST) tests -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p sottovoce
	$(BIN)/mypy tests benchmarks examples

bench: $(STAMP)
	$(BIN)/python benchmarks/simulation.py

# Everything behind the figures of the README. What was interrupted goes on; finished cells are not run again.
EXPERIMENTS := $(basename $(notdir $(wildcard experiments/*.toml)))
MSWEB ?= msweb
RESULTS := runs/experiments
# Cells that broke (status 5) stand in the report, and stop no other experiment; whatever else fails does.
UNLESS_CELLS_BROKE := { status=$$?; [ $$status -eq 5 ] || exit $$status; }

experiments: $(STAMP)
	for name in $(filter-out msweb,$(EXPERIMENTS)); do \
		$(BIN)/sottovoce sweep experiments/$$name.toml --out $(RESULTS)/$$name || $(UNLESS_CELLS_BROKE); \
	done
	$(BIN)/sottovoce sweep experiments/msweb.toml --data $(MSWEB) --out $(RESULTS)/msweb || $(UNLESS_CELLS_BROKE)
	for epsilon in 1 8; do \
		$(BIN)/sottovoce simulate --data ml-100k --epsilon $$epsilon --seed 0 --references none --force \
			--out $(RESULTS)/audited-$$epsilon && \
		$(BIN)/sottovoce audit $(RESULTS)/audited-$$epsilon --shadows 0 --readers 0 || exit $$?; \
	done
	$(BIN)/sottovoce report $$(dirname $(RESULTS)/*/results.parquet) --out $(RESULTS)/report.html \
		$$(printf -- '--audit %s ' $(RESULTS)/*/audit.json) $$(printf -- '--tuning %s ' experiments/tuning-*.json)

clean:
	rm -rf $(VENV) build *.egg-info
