# The project's commands. Everything lands in .venv and output/; `make clean` takes both away.
PYTHON ?= $(or $(shell command -v python3.11),python3)
BIN := .venv/bin
VENV := .venv/pyvenv.cfg
LOCAL := .venv/.installed-local
DEV := .venv/.installed-dev
ASL_VALIDATOR := .venv/asl-validator/node_modules/asl-validator/dist/bin/asl-validator.js
IAM_EVALUATOR := .venv/iam-simulate/node_modules/@cloud-copilot/iam-simulate/package.json
BROWSER := .venv/browser/node_modules/axe-core/package.json
MARIADB := .venv/mariadb/usr/sbin/mariadbd
CLASSES := .venv/.archived-classes
NPM_INSTALL := $(BIN)/npm install --silent --no-audit --no-fund --prefix

.PHONY: help setup run test check golden docs clean
help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV) $(ASL_VALIDATOR) $(IAM_EVALUATOR) $(BROWSER) $(MARIADB) $(CLASSES)  ## install the project and all that it needs into .venv

run: $(LOCAL)  ## the whole retraining once, on this machine: database to output/recommendations.csv
	@$(BIN)/retrain local run --config retraining.toml --output output

test: $(DEV) $(IAM_EVALUATOR) $(BROWSER) $(MARIADB) $(CLASSES)  ## all tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: $(DEV) $(ASL_VALIDATOR)  ## lint, types, import directions, rendered files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/retrain check
	$(BIN)/retrain render --check
	$(BIN)/retrain render --check --integration sdk
	$(BIN)/retrain template --check
	$(BIN)/cfn-lint asl/retraining.template.json
	$(BIN)/python -m docs.reference --check
	$(BIN)/node $(ASL_VALIDATOR) --json-path asl/retraining.asl.json
	$(BIN)/node $(ASL_VALIDATOR) --json-path asl/retraining.sdk.asl.json

golden: $(DEV)  ## write everything that is rendered anew: asl/, the references in docs/
	$(BIN)/retrain render
	$(BIN)/retrain render --integration sdk
	$(BIN)/retrain template
	$(BIN)/python -m docs.reference
	$(BIN)/python -m retrain.local.notebook

docs: $(DEV)  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## remove .venv, output and site
	rm -rf .venv output site

$(VENV):
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

$(LOCAL): setup.py | $(VENV)
	@echo "Installing into .venv; this takes a minute or two."
	$(BIN)/python -m pip install --quiet --editable '.[local]'
	@touch $@

$(DEV): setup.py $(LOCAL)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# Spark's classes, from which each Spark job starts faster: tests start Spark some fifty times.
$(CLASSES): $(LOCAL)
	@echo "Archiving Spark's classes; this takes a minute."
	@$(BIN)/retrain local run --archive-classes --output .venv/archived-classes \
		--students 60 --postings 40 --events 4000 >/dev/null
	@rm -r .venv/archived-classes && touch $@

# An outside opinion on the rendered ASL.
$(ASL_VALIDATOR): $(DEV)
	$(NPM_INSTALL) .venv/asl-validator asl-validator@4.0.0
	@touch $@

# IAM's decisions by somebody else's code: tests/workflow/deployment/permissions.
$(IAM_EVALUATOR): $(DEV)
	$(NPM_INSTALL) .venv/iam-simulate @cloud-copilot/iam-simulate@0.1.173
	@touch $@

# Pages as people meet them: a Chromium that npm carries, driven, and judged by axe.
$(BROWSER): $(DEV)
	$(NPM_INSTALL) .venv/browser playwright-core@1.65.1 axe-core@4.14.1 @sparticuz/chromium@153.0.0
	@touch $@

# The database that no wheel carries: Debian's package and what of its libraries this machine lacks,
# unpacked and not installed, so that no root is needed and nothing outside .venv changes.
APT_GET = apt-get -qq -o Debug::NoLocking=1 -o APT::Sandbox::User=$$(id -un) \
	-o Dir::State::Lists=$(abspath $(@D)/../../apt/lists) -o Dir::Cache=$(abspath $(@D)/../../apt)
$(MARIADB): | $(VENV)
	@command -v apt-get >/dev/null || { echo "make test: MariaDB comes as a Debian package," \
		"and there is no apt-get here; run it on Debian or Ubuntu" >&2; exit 1; }
	@rm -rf .venv/mariadb && mkdir -p .venv/mariadb/apt/lists/partial .venv/mariadb/apt/archives/partial
	$(APT_GET) update
	$(APT_GET) install --yes --reinstall --no-install-recommends --download-only mariadb-server-core
	for package in .venv/mariadb/apt/archives/*.deb; do dpkg-deb -x $$package .venv/mariadb || exit 1; done
	@rm -rf .venv/mariadb/apt && touch $@
