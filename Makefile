# serve and test are all that a newcomer needs; the rest is for developers. HOST=, PORT=, REPOSITORY= are honored.

PYTHON     ?= python3
HOST       ?= 127.0.0.1
PORT       ?= 8000
REPOSITORY ?= repository
# Where an NVIDIA driver answers, the gpu extra; otherwise cpu. Never both: they install the same module.
RUNTIME    ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)

BIN       := .venv/bin
INSTALLED := .venv/installed-$(RUNTIME)

.PHONY: help install serve test check format examples constraints clean

help:
	@echo "make serve    install, train and convert the embedded default, serve it on http://$(HOST):$(PORT)"
	@echo "make test     install, run everything that needs no GPU and no outside network"
	@echo "make check    lint, format and types, as CI does"
	@echo "make format   mend what the linter can mend"
	@echo "make examples digit.png and photo.jpg, for the README's commands"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) or sys.version_info >= (3, 14))' || \
	  { echo "convserve needs Python 3.11, 3.12 or 3.13, $(PYTHON) is $$($(PYTHON) --version 2>&1): make PYTHON=python3.11 ..."; exit 1; }
	@echo "== installing into .venv (runtime: $(RUNTIME)); TensorFlow is large, this takes a minute or two"
	@$(PYTHON) -m venv --clear .venv || \
	  { echo "python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install --disable-pip-version-check -q --progress-bar on -c constraints.txt -e '.[$(RUNTIME),export,test]'
	@touch $@

serve: $(INSTALLED)
	@$(BIN)/convserve-export build quickstart --if-missing --repository $(REPOSITORY)
	@echo "== serving $(REPOSITORY) on http://$(HOST):$(PORT)   (Ctrl-C stops it)"
	@exec $(BIN)/convserve serve --repository $(REPOSITORY) --host $(HOST) --port $(PORT)

test: $(INSTALLED)
	$(BIN)/pytest $(PYTEST_ARGS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

examples: $(INSTALLED)
	@$(BIN)/python docs/examples.py

# Exact versions for every Python and platform that pyproject.toml allows, without index addresses.
constraints: $(INSTALLED)
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --all-extras --no-header --no-annotate \
	  --no-emit-index-url --upgrade pyproject.toml -o constraints.txt

clean:
	rm -rf .venv runs $(REPOSITORY) build *.egg-info
