# Every target sets up what it needs in .venv, on a machine that has Python >= 3.10 with venv, make and a
# C++ compiler: cmake and ninja come as wheels. Repeated runs only redo what has changed.
#
#   make demo    register a generated head phantom and score it, then read demo/report.html
#   make demo FIXED=a.nii.gz MOVING=b.nii.gz    the same with your scans
#   make test    C++ tests under sanitizers, then the Python tests on the wheel as users get it
#   make lint    style and types
#   make bench   measure, and rewrite the tables of the README
#   make setup   everything for work on the project
#   make cross   compile and run the C++ tests for AArch64, where its compiler and qemu-user are installed

PYTHON ?= python3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# Real scans for the tests that want them; without the folder those tests are skipped, and say so.
MMREG_DATA ?= $(abspath $(wildcard ../shared/data))
ifneq ($(MMREG_DATA),)
export MMREG_DATA
endif
ifneq ($(shell command -v ccache),)
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
endif

VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/done
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt
# cmake and ninja of the environment come first, then the machine's
export PATH := $(abspath $(BIN)):$(PATH)

NATIVE := CMakeLists.txt $(shell find cpp_ext -name '*.h' -o -name '*.cpp' -o -name 'CMakeLists.txt')
PACKAGE := $(shell find runtime -type f ! -name '*.so' ! -path '*__pycache__*') $(filter-out cpp_ext/tests/%,$(NATIVE))

.PHONY: help setup demo test test-cpp lint format bench cross clean
help:
	@sed -n 's/^#   //p' Makefile

setup: $(DONE)/package $(DONE)/dev $(DONE)/bench

# ---- the environment ---------------------------------------------------------------------------------

$(DONE)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo 'mmreg_rt needs Python >= 3.10: make PYTHON=/path/to/python3'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/build-tools: $(DONE)/python constraints.txt
	$(PIP) scikit-build-core nanobind cmake ninja
	@touch $@

$(DONE)/lint-tools: $(DONE)/python constraints.txt
	$(PIP) ruff mypy clang-format numpy nibabel click
	@touch $@

# The wheel is built with the flags that users get; only the build folder is kept, so a change costs little.
$(DONE)/wheel: $(DONE)/build-tools $(PACKAGE) pyproject.toml
	@rm -rf dist
	SKBUILD_BUILD_DIR=build/wheel CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) \
	  $(BIN)/python -m pip --disable-pip-version-check wheel -q . -w dist --no-deps --no-build-isolation
	@ls -l dist/*.whl && touch $@

$(DONE)/package: $(DONE)/wheel constraints.txt
	$(PIP) --force-reinstall --no-deps dist/*.whl
	$(PIP) dist/*.whl
	@touch $@

$(DONE)/dev: $(DONE)/package pyproject.toml
	$(PIP) "$$(echo dist/*.whl)[dev]"
	@touch $@

$(DONE)/bench: $(DONE)/dev
	$(PIP) torch==2.13.0 onnxruntime
	@touch $@

# ---- what people ask for -----------------------------------------------------------------------------

demo: $(DONE)/package
	$(BIN)/mmreg demo -o demo $(if $(FIXED),--fixed "$(FIXED)") $(if $(MOVING),--moving "$(MOVING)")

test: $(DONE)/dev test-cpp
	$(BIN)/python -m pytest -q

# TASKS=DIR measures whole registrations too; benchmarks/registration.py documents the folder.
bench: $(DONE)/bench
	$(BIN)/python benchmarks/kernels.py
ifdef TASKS
	$(BIN)/python benchmarks/registration.py --tasks "$(TASKS)" --results benchmarks/results/registration_dev.json
endif
	$(BIN)/python benchmarks/readme_table.py

lint: $(DONE)/lint-tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	find cpp_ext -name '*.h' -o -name '*.cpp' | xargs $(BIN)/clang-format --dry-run -Werror

format: $(DONE)/lint-tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find cpp_ext -name '*.h' -o -name '*.cpp' | xargs $(BIN)/clang-format -i

# ---- C++ ---------------------------------------------------------------------------------------------

CMAKE = $(BIN)/cmake -G Ninja -S . -DMMREG_PYTHON=OFF

test-cpp: $(DONE)/build-tools
	$(CMAKE) -B build/asan -DMMREG_CPP_TESTS=ON -DMMREG_SANITIZE=address,undefined
	$(BIN)/cmake --build build/asan -j $(JOBS)
	build/asan/cpp_ext/tests/mmreg_tests
	$(CMAKE) -B build/tsan -DMMREG_CPP_TESTS=ON -DMMREG_SANITIZE=thread \
	  -DMMREG_TARGETS=baseline
	$(BIN)/cmake --build build/tsan -j $(JOBS)
	build/tsan/cpp_ext/tests/mmreg_tests queue

CROSS := aarch64-linux-gnu-g++
# NEON is the baseline of AArch64. With qemu-user installed the tests are run too, not only compiled.
cross: $(DONE)/build-tools
ifeq ($(shell command -v $(CROSS)),)
	@echo 'SKIPPED cross: $(CROSS) is not installed'
else
	$(CMAKE) -B build/aarch64 -DMMREG_CPP_TESTS=ON -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
	  -DCMAKE_CXX_COMPILER=$(CROSS) -DCMAKE_EXE_LINKER_FLAGS=-static
	$(BIN)/cmake --build build/aarch64 -j $(JOBS)
ifeq ($(shell command -v qemu-aarch64),)
	@echo 'SKIPPED running them: qemu-aarch64 is not installed'
else
	qemu-aarch64 build/aarch64/cpp_ext/tests/mmreg_tests
endif
endif

clean:
	rm -rf $(VENV) build dist demo
