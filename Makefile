# One command per loop. Every target is incremental; `make test` on a fresh clone sets everything up first.
# README's two commands do not need make; these targets are for people who work on the project.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= $(shell nproc)
CMAKE_FLAGS ?= -DCMAKE_BUILD_TYPE=Release
FORMATTED = $(shell git ls-files --cached --others --exclude-standard 'csrc/*.h' 'csrc/*.cpp' 'tests/*.h' 'tests/*.cpp' 'benchmarks/*.cpp' 'benchmarks/*.h')
LINTERS := ruff==0.17.6 mypy==2.4.1 clang-format==23.1.5

.PHONY: venv build demo test test-cpp test-clang test-aarch64 test-threads test-pytorch check-headers lint format bench clean

venv: $(VENV)/.ready
$(VENV)/.ready: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q torch==2.13.0 setuptools ninja
	$(BIN)/pip install -q --no-build-isolation -e ".[test]"
	touch $@

$(VENV)/.linters: Makefile | venv
	$(BIN)/pip install -q $(LINTERS)
	touch $@

build: venv  ## the extension, in place: only what changed is compiled
	$(BIN)/python setup.py -q build_ext --inplace

demo: build
	$(BIN)/python -m torchext demo

test: build
	$(BIN)/python -m pytest -q -n auto

# The torch-free kernels with their C++ tests: no torch, no Python.
test-cpp:
	cmake -S . -B build/cpp $(CMAKE_FLAGS)
	cmake --build build/cpp -j $(JOBS)
	ctest --test-dir build/cpp --output-on-failure -j 2

test-clang:
	cmake -S . -B build/clang $(CMAKE_FLAGS) -DCMAKE_CXX_COMPILER=clang++ -DTORCHEXT_BUILD_EMULATED=OFF
	cmake --build build/clang -j $(JOBS)
	ctest --test-dir build/clang --output-on-failure -j 2

# The pool under ThreadSanitizer: 10^7 allocations from 8 threads take some minutes; .ci/run asks for fewer.
ALLOCATIONS ?= 10000000
test-threads:
	cmake -S . -B build/threads $(CMAKE_FLAGS) -DTORCHEXT_SANITIZE=thread -DTORCHEXT_BUILD_EMULATED=OFF
	cmake --build build/threads -j $(JOBS) --target pool_stress
	build/threads/tests/cpp/memory/pool_stress $(ALLOCATIONS)

# NEON: cross-compiled, run under qemu's user emulation; the scalar kernels are test-cpp's. ARM=aarch64-clang: with clang.
ARM ?= aarch64
test-aarch64:
	cmake -S . -B build/$(ARM) $(CMAKE_FLAGS) -DCMAKE_TOOLCHAIN_FILE=cmake/$(ARM).cmake
	cmake --build build/$(ARM) -j $(JOBS)
	ctest --test-dir build/$(ARM) --output-on-failure -j 2 -E /scalar

# PyTorch's own tests of reductions and unary operators, patched: what passes stock must pass. Fetches their source; an
# hour or more.
test-pytorch: build
	$(BIN)/python tools/test_pytorch.py

# The operator layer, syntax only: on the headers of the oldest torch that is meant to compile, and with clang.
check-headers: venv
	tools/check_headers.sh 2.11.0
	CXX=clang++ tools/check_headers.sh installed

lint: $(VENV)/.linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(FORMATTED)
	$(BIN)/mypy

format: $(VENV)/.linters
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(FORMATTED)

bench: build
	$(BIN)/python -m torchext bench

clean:
	rm -rf build dist *.egg-info torchext/*.so csrc/ops/*.gch
