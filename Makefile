# Each target does its own set-up in .venv; a second run is quick.
SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-test build demo bench bench-node test test-long fuzz soak reliability lint clean

PYTHON ?= python3
TORCH ?= torch==2.13.0
export PYTHON TORCH

ENV := . scripts/env.sh
# A domain of its own, so that no other ROS on the network is heard or disturbed.
TEST_ENV := export ROS_DOMAIN_ID=$$(($$$$ % 100 + 1)) ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST \
  FASTRTPS_DEFAULT_PROFILES_FILE='$(CURDIR)/config/fastdds_shm.xml'
BENCH := .venv/bin/python -m frm_seg_ros.cli bench --device cpu \
  $(patsubst models/%/card.yaml,--model %,$(wildcard models/*/card.yaml)) \
  --backend openvino --backend onnxruntime --camera 720x1280 --rounds 100 \
  --precision float32 --precision bfloat16 --precision int8
PYTEST := .venv/bin/python -m pytest -rs --durations=20

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup:  ## make .venv: a sourced ROS 2 where there is one, ROS 2 Jazzy wheels otherwise
	@scripts/setup_venv.sh

setup-test:
	@scripts/setup_venv.sh test

build: setup  ## build the package with colcon into install/
	@$(ENV); mkdir -p log; \
	flock scripts colcon build --cmake-args -DBUILD_TESTING=OFF \
	  -DPython3_EXECUTABLE='$(CURDIR)/.venv/bin/python' > log/make_build.log 2>&1 \
	  || { cat log/make_build.log; exit 1; }

demo: build  ## a bag played through the real node and scored; SOURCE=camvid:PATH:val for other input
	@$(ENV); .venv/bin/python -m frm_seg_ros.tools.demo $(if $(SOURCE),--source '$(SOURCE)')

bench: setup-test  ## time the shipped models on the CPU, stage by stage, into benchmarks/results/
	@$(ENV); for size in 384x480 512x1024; do \
	  $(BENCH) --size $$size --json benchmarks/results/cpu-$$size.json $(ARGS); done

bench-node: setup-test build  ## time the node against its bare engine, into benchmarks/results/node.json
	@$(ENV); $(TEST_ENV); .venv/bin/python -m frm_seg_ros.ros.bench_node \
	  --json benchmarks/results/node.json $(ARGS)

test: setup-test build  ## all tests but the long ones; ARGS='-k name', TORCH='torch==X' or TORCH= for none
	@$(ENV); $(TEST_ENV); $(PYTEST) -m 'not long' $(ARGS)

test-long: setup-test build  ## the tests that take minutes
	@$(ENV); $(TEST_ENV); $(PYTEST) -m long $(ARGS) || [ $$? -eq 5 ]  # 5: there are none

fuzz: setup-test build  ## 100 000 mutated messages and parameters through a live node; FUZZ=N
	@$(ENV); $(TEST_ENV); FUZZ=$${FUZZ:-100000} $(PYTEST) test/ros/test_fuzz.py $(ARGS)

soak: setup-test build  ## an hour under a steady stream, into benchmarks/results/soak.json; MINUTES=N
	@$(ENV); $(TEST_ENV); PYTHONPATH=.:$$PYTHONPATH .venv/bin/python benchmarks/soak.py \
	  --minutes $${MINUTES:-60} --json benchmarks/results/soak.json $(ARGS)

reliability: setup-test build  ## try all faults and write the tables of docs/reliability.md
	@$(ENV); $(TEST_ENV); folder=$$(mktemp -d); RELIABILITY=$$folder FUZZ=$${FUZZ:-100000} \
	  $(PYTEST) test/ros/test_fuzz.py test/ros/test_faults.py && \
	  .venv/bin/python benchmarks/reliability_table.py $$folder docs/reliability.md; \
	  code=$$?; rm -r $$folder; exit $$code

lint: setup-test  ## ruff on everything, mypy on the core, pip-audit on what is pinned
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m mypy frm_seg_ros/core
	@scripts/audit.sh

clean:  ## remove what make made, .venv included
	rm -rf .venv build install log demo
