# Four verbs for people: run, test, check, fix. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help run demo test check fix bench storm kills faults failpoints fuzz power soak defects clients alertmanager strace sdks clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@echo "installing into $(VENV), once: half a minute or so"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: $(STAMP) ## Start a PagerDuty sandbox and the relay, send an example alert, keep serving
	@$(BIN)/pagerelay demo

demo: $(STAMP) ## The same, but end with exit status 0 once the page has arrived
	@$(BIN)/pagerelay demo --once

test: $(STAMP) alertmanager strace sdks ## Run every test, with a real Alertmanager and PagerDuty's clients where they can be installed
	$(BIN)/python -m pytest -n 2

check: $(STAMP) ## Formatting, lint, types, floors, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

fix: $(STAMP) ## Format and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## Measure the figures of docs/performance.md (ratios inside one run)
	$(BIN)/python -m bench

storm: $(STAMP) ## 100,000 alerts in 100 webhooks with 100 criticals among them, storms folded and not
	$(BIN)/python -m bench.storm

kills: $(STAMP) ## 1,000 kill -9 at random moments under load, and 200 SIGTERM: nothing lost
	$(BIN)/python -m tests.faults --endings kill --cycles 1000
	$(BIN)/python -m tests.faults --endings term --cycles 200

faults: $(STAMP) ## Every row of the fault table that a running relay can meet, with 10 seeds each
	$(BIN)/python -m tests.faults --seeds 10

failpoints: $(STAMP) ## Kill the relay 20 times at each failpoint under load: nothing lost
	$(BIN)/python -m tests.faults --endings failpoints --cycles 20

fuzz: $(STAMP) ## 1,000,000 mutated bodies through the accept path, 50,000 at a running relay
	$(BIN)/python -m tests.fuzz

power: $(STAMP) ## 2,000 power cuts in a recorded run: nothing answered is lost
	$(BIN)/python -m tests.faults.power

soak: $(STAMP) ## 100,000 alerts at once, then 30 minutes of mixed load: memory stays bounded
	$(BIN)/python -m tests.soak

defects: $(STAMP) alertmanager strace ## Plant 34 bugs, one at a time: the tests catch each of them
	$(BIN)/python -m tests.defects

clients: $(STAMP) alertmanager sdks ## Every client of PagerDuty's, go-pagerduty included, at a real relay: what works, what is missing
	@sh tests/clients/install-go.sh
	$(BIN)/python -m pytest tests/clients -v

alertmanager:
	@sh tests/install-alertmanager.sh

sdks:
	@sh tests/clients/install-pagerduty.sh
	@sh tests/clients/install-pdjs.sh

strace:
	@sh tests/install-strace.sh

clean: ## Remove what make made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
