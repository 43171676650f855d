# The front door. `make` alone lists the targets. Every recipe is one line: without make, run it by hand.
.DEFAULT_GOAL := help
.PHONY: help setup check fix test test-all profile compare learn doctor bench-ptxvm clean

PYTHON ?= $(shell for p in python3.12 python3.11 python3; do $$p -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
RUN := .venv/bin/python
READY := .venv/.warpbench-ready
JOBS ?= 2

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## build .venv with the tested versions (a torch that is there and in range stays)

$(READY): pyproject.toml constraints.txt warpbench/bootstrap.py
	@$(if $(PYTHON),$(PYTHON),echo "Python 3.11 or 3.12 is needed and none was found. Nothing was set up. Install one, or say which: make setup PYTHON=/path/to/python3.12" >&2; exit 3;) warpbench/bootstrap.py

check: $(READY) ## static and read-only: lint, format, types, import rules, catalogues, generated texts
	@$(RUN) -m warpbench.selfcheck

fix: $(READY) ## format and mend what the linter can (the only target that writes into sources)
	@$(RUN) -m ruff check --fix --quiet . ; $(RUN) -m ruff format .

test: $(READY) ## all tests but the slow ones
	@$(RUN) -m pytest -q -n $(JOBS) --dist worksteal -m "not slow"

test-all: $(READY) ## all tests, slow sweeps too
	@$(RUN) -m pytest -q -n $(JOBS) --dist worksteal

profile: $(READY) ## the main job: compile, check and profile every rung (OP= RUNG= GPU= choose)
	@$(RUN) -m warpbench profile $(if $(OP),$(OP)$(if $(RUNG),/$(RUNG))) $(if $(GPU),--gpu $(GPU))

compare: $(READY) ## two record files side by side (A= B=)
	@$(RUN) -m warpbench compare $(A) $(B)

learn: $(READY) ## the course: watch your file and check it at each save
	@$(RUN) -m warpbench learn watch

doctor: $(READY) ## what works on this machine, what does not, and what to install
	@$(RUN) -m warpbench doctor

bench-ptxvm: $(READY) ## how fast ptxvm is: ratios to Triton's interpreter and Numba's simulator
	@$(RUN) -m tests.bench.ptxvm_speed

clean: ## remove caches and build output (not .venv, not your records)
	@rm -rf .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache build *.egg-info; find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
