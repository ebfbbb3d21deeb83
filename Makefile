# Two commands do all the set-up: `make quickstart` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
CORES ?= 2
STUDY ?= quickstart
N ?= 20
# The study's name, which is that of its folder of results: of my/own.yaml it is own.
NAME = $(shell name="$$(basename -- "$(STUDY)")"; echo "$${name%.y*ml}")
SHELL := /bin/bash -o pipefail
PYTHON_AS_IT_IS := env -u PYTHONWARNINGS -u PYTHONOPTIMIZE
RUN := $(PYTHON_AS_IT_IS) PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
STAMP := $(VENV)/.installed

.PHONY: help env quickstart study plan status replication preview audit spotcheck archive compare cost test test-slurm browser fuzz lint schemas golden bench lock clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): envs/requirements.txt envs/install.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is not Python 3.11 or newer. Name one that is: make PYTHON=python3.11 env"; exit 1; }
	@$(PYTHON_AS_IT_IS) $(PYTHON) envs/install.py $(VENV)
	@touch $@

env: $(STAMP)  ## the environment alone

quickstart:  ## environment + the quickstart study, to its report
	@$(MAKE) --no-print-directory study STUDY=quickstart

study: $(STAMP)  ## one study: make study STUDY=laboratory CORES=4
	@$(RUN) PYTHONPATH=workflow/scripts snakemake --cores $(CORES) --scheduler greedy --logger laser --config "study=$(STUDY)" -- all
	@$(RUN) python workflow/scripts/tools/show.py "results/$(NAME)"

plan: $(STAMP)  ## what a run would make, by rule, and what it costs: make plan STUDY=paper
	@$(RUN) PYTHONPATH=workflow/scripts snakemake --cores $(CORES) --dry-run --logger laser --config "study=$(STUDY)" -- all
	@$(RUN) python workflow/scripts/tools/cost.py --study "$(STUDY)" --jobs $(CORES) $(COST) 2>&1 | sed 's/^ERROR: /No estimate of the time: /' | tail -n 1 || true

status: $(STAMP)  ## how far a study's run is, why jobs failed, and their logs: make status STUDY=laboratory
	@$(RUN) python workflow/scripts/tools/status.py "results/$(NAME)"

replication: $(STAMP)  ## docs/replication.md and its evidence anew, from every study under results/
	@$(RUN) python workflow/scripts/tools/replication.py

audit: $(STAMP)  ## check a finished study, hashes and numbers: make audit STUDY=quickstart
	@$(RUN) python workflow/scripts/tools/audit.py "results/$(NAME)" --replay auto

spotcheck: $(STAMP)  ## a random sample of rows again, from the checkpoint: make spotcheck STUDY=quickstart N=20 SEED=7
	@$(RUN) python workflow/scripts/tools/spot_check.py "results/$(NAME)" --count $(N) $(if $(SEED),--seed $(SEED))

archive: $(STAMP)  ## a finished study as results/<study>.tar.zst, the same bytes every time
	@$(RUN) python workflow/scripts/tools/archive.py "results/$(NAME)"

compare: $(STAMP)  ## which deterministic files two folders of a study do not share: make compare A=folder B=folder
	@$(RUN) python workflow/scripts/tools/compare.py $(A) $(B)

preview: $(STAMP)  ## what a study asks, row by row, and how long it takes here: make preview STUDY=my/study.yaml
	@$(RUN) python workflow/scripts/tools/preview.py --study $(STUDY) --jobs $(CORES)

cost: $(STAMP)  ## what a study will cost, before it runs: make cost STUDY=quickstart COST=--details
	@$(RUN) python workflow/scripts/tools/cost.py --study "$(STUDY)" --jobs $(CORES) $(COST)

test: $(STAMP)  ## environment + all tests
	@$(RUN) python -m pytest

test-slurm: $(STAMP)  ## the workflow and its faults on a real SLURM here; root on Debian or Ubuntu, about 10 minutes
	@trap '$(RUN) python -m tests.slurm.bed clear' EXIT; trap 'exit 130' INT TERM; \
	  mkdir -p build/slurm && $(RUN) python -m tests.slurm.bed check && \
	  $(RUN) LASER_TEST_SLURM=1 python -m pytest tests/slurm -o addopts= -p no:cacheprovider -v -n 3 --maxschedchunk 1 \
	  --basetemp build/slurm/tests --durations 0

browser:  ## a headless Chromium for the report's tests, from apt where it is to be had
	@.ci/browser

fuzz: $(STAMP)  ## 10,000 and more hostile studies, rows and result files: make fuzz
	@$(RUN) LASER_FUZZ=nightly python -m pytest tests/hostile -n 0 -o addopts= -p no:cacheprovider -q

lint: $(STAMP)  ## ruff, snakefmt, snakemake --lint, import contracts, mypy
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) snakefmt --check Snakefile rules workflow/Snakefile
	@$(RUN) snakemake --lint
	@$(RUN) PYTHONPATH=workflow/scripts lint-imports --no-cache
	@$(RUN) mypy

schemas: $(STAMP)  ## write config/schemas/ and the tables of keys in config/*.md again
	@$(RUN) PYTHONPATH=workflow/scripts python -m laser.config.json_schemas

golden: $(STAMP)  ## per-example agreement with the released code: make golden LASER_GOLDEN=folder
	@$(RUN) python -m pytest tests/test_golden.py -n 0 -s -o addopts=

bench: $(STAMP)  ## the engine against the published method and the naive engine, this machine
	@$(RUN) python -m benchmarks.sweep

lock: $(STAMP)  ## resolve envs/requirements.in into envs/requirements.txt
	@$(RUN) python envs/lock.py

clean:  ## remove the results of one study: make clean STUDY=quickstart; the cache of models and data stays
	@if [ "$(origin STUDY)" = file ] || ! [[ "$(NAME)" =~ ^[A-Za-z0-9][A-Za-z0-9_-]*$$ ]]; then \
	  echo "Say whose results are to be removed: make clean STUDY=<name>. Here are: $$(cd results && ls -d */ 2>/dev/null | tr -d / | xargs)"; exit 2; fi
	@if [ -z "$$(ls -d "results/$(NAME)" "results/$(NAME)".*.json 2>/dev/null)" ]; then \
	  echo "There are no results of $(NAME). Here are: $$(cd results && ls -d */ 2>/dev/null | tr -d / | xargs)"; exit 2; fi
	rm -rf -- "results/$(NAME)" "results/$(NAME).study.json" "results/$(NAME).run.json"
