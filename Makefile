# Thin targets: what they do is in environment.py and `tlcourse --help`.
#
#   make book                   environment, every notebook once, claims, site
#   make test                   environment, the whole test suite
#   make test PYTHON=python3.12
#   make book TORCH_INDEX=...   CPU wheels on Linux without a GPU, see README

PYTHON ?= python3
TORCH_INDEX ?=
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
STAMP := $(VENV)/.installed

.PHONY: all setup book pdf test notebooks hub lint lock doctor clean

all: lint test book

setup: $(STAMP)

# Made anew only when what it holds is declared anew.
$(STAMP): requirements.lock pyproject.toml
	"$(PYTHON)" environment.py --folder "$(VENV)" --torch-index "$(TORCH_INDEX)"
	@echo installed > "$(STAMP)"

book: setup
	"$(BIN)/tlcourse" build

# The whole book as one file; needs Chromium, Chrome or Edge.
pdf: book
	"$(BIN)/tlcourse" pdf

# As many tests side by side as there are cores, four at most: chapters need memory.
# Handed out one by one, since a chapter takes as long as a hundred formulas. Bytecode is
# kept, also where an image turns that off: the next start takes half the time.
test: export PYTHONDONTWRITEBYTECODE :=
test: setup
	"$(BIN)/python" -m pytest -n auto --maxprocesses 4 --maxschedchunk 1

notebooks: setup
	"$(BIN)/python" -m pytest tests/notebooks

# Needs the network once: the real data sets and weights.
hub: setup
	"$(BIN)/python" -m pytest -m hub
	"$(BIN)/tlcourse" build --profile hub

lint: setup
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"
	"$(BIN)/codespell"

doctor: setup
	"$(BIN)/tlcourse" doctor

# After a change of the dependencies in pyproject.toml.
lock:
	"$(BIN)/uv" pip compile pyproject.toml --all-extras --universal --fork-strategy fewest --generate-hashes --no-header --no-annotate --python-version 3.11 --quiet -o requirements.lock
	"$(BIN)/python" environment.py --conda > environment.yml

clean:
	rm -rf _build "$(VENV)"
