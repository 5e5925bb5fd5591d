# uaafusion_ros without a ROS installation: everything lives in .venv, with pip's ROS 2 wheels.
# On a machine with ROS 2, use colcon instead (README).

PYTHON ?= python3
# The ROS 2 release whose wheels are installed, each in an environment of its own: make test ROS_DISTRO=jazzy.
# Only if given to make: the variable that a sourced ROS 2 has set may name a release without wheels.
RELEASE := $(if $(findstring command,$(origin ROS_DISTRO)),$(ROS_DISTRO),kilted)
VENV   := .venv$(if $(filter-out kilted,$(RELEASE)),-$(RELEASE))
# Pinned on purpose, here and only here: a newer torch than the one tried can be many gigabytes of CUDA packages.
# For a GPU, or another build: make venv TORCH=torch==X.Y.Z. Pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS,
# PIP_CONSTRAINT, pip.conf) apply as always; point them at CPU-only wheels to save most of the download.
TORCH  ?= torch==2.13.0
EXTRAS := ros-$(RELEASE),bags,calibrate,demo,train,export,docs,web,test
OUT    := out

# make demo: real images instead of the synthetic street, two folders matched by file name; a model.
INFRARED :=
VISIBLE  :=
MODEL    :=
SECONDS  :=

BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
COLCON := $(OUT)/colcon
# `colcon test` runs a few tests against the installed package; `make test` runs all of them.
COLCON_TESTS := test/launch test/test_images.py test/test_pairing.py test/test_node_parameters.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# make soak, make reliability: seconds of the soak, and of the stall of both cameras.
SOAK  := 600
STALL := 10

.PHONY: help venv test smoke soak reliability lint demo retrain colcon docs reference pictures screenshots clean FORCE

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 13

venv: $(STAMP) ## the environment in .venv; afterwards .venv/bin/uaafusion works

test: $(STAMP) ## all tests (PYTEST_ARGS=… for some of them)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# What differs between ROS 2 releases: messages, the node, its services, parameters, clocks, transport, its ending.
smoke: $(STAMP) ## the tests that depend on the ROS 2 release (make smoke ROS_DISTRO=jazzy)
	$(BIN)/python -m pytest test/test_images.py test/test_node.py test/test_node_lifecycle.py test/test_node_parameters.py \
	  test/test_reload.py test/test_replay.py test/test_security_policy.py test/test_sensors_live.py test/faults/test_endings.py \
	  $(PYTEST_ARGS)

soak: $(STAMP) ## ten minutes at 30 Hz: nothing grows (SOAK=60 for one minute)
	$(BIN)/python -m pytest test/faults/test_promises.py -k soak --soak $(SOAK) $(PYTEST_ARGS)

reliability: $(STAMP) ## all faults and promises, and docs/reliability.md of what was measured (SOAK=60 for a short one)
	$(BIN)/python -m pytest test/faults --soak $(SOAK) --stall $(STALL) \
	  --slow-machine 1 --reliability docs/reliability.md $(PYTEST_ARGS)

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
	  data.drive.kind=folder data.drive.path=$(OUT)/retrain/pairs/train data.drive.labels=true
	$(BIN)/uaafusion evaluate --model uaafusion_edge --model $(OUT)/retrain/model/uaafusion_tiny.safetensors \
	  --data $(OUT)/retrain/pairs/val --limit 4 --faithfulness 1 --out $(OUT)/retrain/report

docs: $(STAMP) ## the documents as a site in out/site, to be read without a network
	$(BIN)/mkdocs build --strict
	@echo "$(OUT)/site/index.html"

reference: $(STAMP) ## docs/reference.md and docs/commands.md, written by the code
	$(BIN)/python -m uaafusion_ros.node.reference docs/reference.md
	$(BIN)/python -m uaafusion_ros.commands.reference docs/commands.md

pictures: $(STAMP) ## the drawings in docs/pictures, some of them from out/demo (make demo)
	$(BIN)/python docs/drawing/schematics.py docs/pictures
	$(BIN)/python docs/drawing/examples.py docs/pictures
	$(BIN)/python docs/drawing/layouts.py $(OUT)/demo docs/pictures

screenshots: $(STAMP) ## docs/web_*.png: the page in the browser by day, by night and on a phone; needs Chromium
	ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST $(BIN)/python test/web_screenshots.py docs

colcon: $(STAMP) ## colcon build and test in out/colcon, and a look at what was installed
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/colcon --log-base $(COLCON)/log build --paths . \
	  --build-base $(COLCON)/build --install-base $(COLCON)/install
	@bash -ec '. $(COLCON)/install/setup.bash; cd $(COLCON); \
	  "$(abspath $(BIN))/python" "$(abspath .ci/check_installation.py)"'
	@bash -ec '. $(COLCON)/install/setup.bash; export PATH="$(abspath $(BIN)):$$PATH"; \
	  colcon --log-base $(COLCON)/log test --paths . --build-base $(COLCON)/build --install-base $(COLCON)/install \
	    --return-code-on-test-failure --pytest-args $(COLCON_TESTS); \
	  colcon test-result --test-result-base $(COLCON)/build'

clean: ## remove the environment and everything the commands left
	rm -rf .venv .venv-* $(OUT) build install log *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

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
