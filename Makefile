# uaafusion_ros without a ROS installation: everything lives in .venv, with pip's ROS 2 wheels.
# On a machine with ROS 2, use colcon instead (README).

PYTHON ?= python3
VENV   := .venv
# Pinned on purpose, here and only here: a newer torch than the one tried can be many gigabytes of CUDA packages.
# For a GPU, or another build: make venv TORCH=torch==X.Y.Z. Pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS,
# PIP_CONSTRAINT, pip.conf) apply as always; point them at CPU-only wheels to save most of the download.
TORCH  ?= torch==2.13.0
EXTRAS := ros,bags,demo,train,test
OUT    := out

# make demo: real images instead of the synthetic street, two folders matched by file name; a model.
INFRARED :=
VISIBLE  :=
MODEL    :=
SECONDS  :=

BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
COLCON := $(OUT)/colcon

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv test lint demo retrain colcon clean FORCE

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 10

venv: $(STAMP) ## the environment in .venv; afterwards .venv/bin/uaafusion works

test: $(STAMP) ## all tests (PYTEST_ARGS=… for some of them)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

demo: $(STAMP) ## live ROS 2 topics into out/demo (INFRARED=DIR VISIBLE=DIR for your images, SECONDS=20)
	$(BIN)/uaafusion demo --out $(OUT)/demo \
	  $(if $(INFRARED),--infrared "$(INFRARED)") $(if $(VISIBLE),--visible "$(VISIBLE)") \
	  $(if $(SECONDS),--seconds $(SECONDS)) $(if $(MODEL),--model "$(MODEL)")

retrain: $(STAMP) ## out/demo's bag into pairs, a tiny model and a report in out/retrain: the whole way, in minutes
	@test -f $(OUT)/demo/metadata.yaml || { echo "$(OUT)/demo holds no bag; run make demo first" >&2; exit 1; }
	rm -rf $(OUT)/retrain
	$(BIN)/uaafusion harvest $(OUT)/demo --out $(OUT)/retrain/pairs --label-with uaafusion_edge
	$(BIN)/uaafusion dataset check $(OUT)/retrain/pairs
	$(BIN)/uaafusion train --config config/train_tiny.yaml out=$(OUT)/retrain/model \
	  data.drive.kind=folder data.drive.path=$(OUT)/retrain/pairs/train
	$(BIN)/uaafusion evaluate --model uaafusion_edge --model $(OUT)/retrain/model/uaafusion_tiny.safetensors \
	  --data $(OUT)/retrain/pairs/val --limit 4 --out $(OUT)/retrain/report

colcon: $(STAMP) ## colcon build into out/colcon, and a look at what it installed
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/colcon --log-base $(COLCON)/log build --paths . \
	  --build-base $(COLCON)/build --install-base $(COLCON)/install
	@bash -ec '. $(COLCON)/install/setup.bash; cd $(COLCON); \
	  "$(abspath $(BIN))/python" "$(abspath .ci/check_installation.py)"'

clean: ## remove the environment and everything the commands left
	rm -rf $(VENV) $(OUT) build install log *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The environment is renewed when the dependencies or TORCH change, and only then.
$(STAMP): $(BIN)/python $(VENV)/.torch setup.py setup.cfg pyproject.toml
	$(BIN)/python -m pip install "$(TORCH)" -e ".[$(EXTRAS)]"
	@touch $@

$(VENV)/.torch: FORCE | $(BIN)/python
	@echo '$(TORCH)' | cmp -s - $@ || echo '$(TORCH)' > $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || { \
	  echo "$(PYTHON) is `$(PYTHON) --version 2>&1`; the ROS 2 wheels exist for Python 3.10 to 3.13." \
	       "Choose one: make venv PYTHON=python3.12" >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip, venv' 2> /dev/null; then $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -c 'import virtualenv' 2> /dev/null; then $(PYTHON) -m virtualenv -q $(VENV); \
	elif command -v virtualenv > /dev/null; then virtualenv -q -p $(PYTHON) $(VENV); \
	else echo "$(PYTHON) cannot make environments: its venv module is not installed." \
	  "On Debian or Ubuntu: sudo apt install python3-venv; then the same make again." >&2; exit 1; fi

FORCE:
