# Every target sets up what it needs in .venv, on a machine that has Python >= 3.10 with venv, make and a
# C++ compiler: cmake and ninja come as wheels. Repeated runs only redo what has changed.
#
#   make demo    register a generated head phantom and score it, then read demo/report.html
#   make demo FIXED=a.nii.gz MOVING=b.nii.gz    the same with your scans
#   make test    C++ tests under sanitizers, then the Python tests on the wheel as users get it
#   make lint    style and types
#   make bench   measure, and rewrite the tables of the README
#   make fuzz    feed the readers of files with broken ones for FUZZ_SECONDS=600
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
export CCACHE_BASEDIR ?= $(CURDIR)
export CCACHE_NOHASHDIR ?= 1
endif

VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/done
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt
# cmake and ninja of the environment come first, then the machine's
export PATH := $(abspath $(BIN)):$(PATH)

NATIVE := CMakeLists.txt $(shell find cpp_ext cmake -name '*.h' -o -name '*.c*' -o -name 'CMakeLists.txt')
PACKAGE := $(shell find runtime train export -type f ! -name '*.so' ! -path '*__pycache__*') $(filter-out cpp_ext/tests/%,$(NATIVE))

.PHONY: help setup demo bench fuzz test test-cpp lint format cross clean
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
	$(PIP) torch==2.13.0 "$$(echo dist/*.whl)[dev,train,export,llm]"
	@touch $@

$(DONE)/bench: $(DONE)/dev
	@touch $@

# ---- what people ask for -----------------------------------------------------------------------------

demo: $(DONE)/package
	$(BIN)/mmreg demo -o demo $(if $(FIXED),--fixed "$(FIXED)") $(if $(MOVING),--moving "$(MOVING)")

# All that the README's tables are made of, which wants an idle machine: digital heads always; the pairs of
# heldout_pairs.toml where MMREG_DATA has the scans; those of TASKS=DIR (benchmarks/registration.py documents the
# folder). Peers that are installed run beside: hours. `PEERS=` leaves them out: minutes.
PEERS ?= $(shell $(BIN)/python -c "import sys; sys.path.insert(0, 'benchmarks'); from peers import PEERS, \
  installed_version; print(','.join(filter(installed_version, PEERS)))" 2>/dev/null)
REGISTRATION = $(BIN)/python benchmarks/registration.py --peers "$(PEERS)"
RESULTS := benchmarks/results/registration

bench: $(DONE)/bench
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/backends.py
	$(BIN)/python benchmarks/prepare_phantoms.py build/tasks/phantoms
	$(REGISTRATION) --tasks build/tasks/phantoms --align affine --results $(RESULTS)_phantoms.json
ifdef TASKS
	$(REGISTRATION) --tasks "$(TASKS)" --results $(RESULTS)_dev.json
endif
ifneq ($(MMREG_DATA),)
	$(BIN)/python benchmarks/prepare_heldout.py $(MMREG_DATA) build/tasks/heldout
	$(REGISTRATION) --tasks build/tasks/heldout --results $(RESULTS)_heldout.json
endif
	$(BIN)/python benchmarks/readme_table.py

FUZZ_SECONDS ?= 600
fuzz: $(DONE)/dev
	$(PIP) atheris
	PYTHONPATH=tests $(BIN)/python -m fuzz.fuzz_headers --seconds $(FUZZ_SECONDS)
	PYTHONPATH=tests $(BIN)/python -m fuzz.fuzz_bundles --seconds $(FUZZ_SECONDS)

# The CUDA operations compiled for the host, beside the installed package: tests prove them without a device.
$(DONE)/cuda-on-host: $(DONE)/package
	$(CMAKE) -B build/cuda-on-host -DMMREG_CUDA_ON_HOST=ON
	$(BIN)/cmake --build build/cuda-on-host -j $(JOBS) --target mmreg_cuda_on_host
	cp runtime/mmreg_rt/libmmreg_cuda_on_host.so \
	  "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/mmreg_rt/"
	@touch $@

# Training has processes of its own: with every other library loaded before, torch crashes in them.
PYTEST = $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile
test: $(DONE)/dev $(DONE)/cuda-on-host test-cpp
	$(if $(wildcard build/wheel/cuda),$(BIN)/python benchmarks/registers.py build/wheel/cuda)
	$(PYTEST) --ignore tests/train
	$(PYTEST) tests/train

lint: $(DONE)/lint-tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	find cpp_ext -name '*.h' -o -name '*.c*' ! -name '*.txt' | xargs $(BIN)/clang-format --dry-run -Werror

format: $(DONE)/lint-tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find cpp_ext -name '*.h' -o -name '*.c*' ! -name '*.txt' | xargs $(BIN)/clang-format -i

# ---- C++ ---------------------------------------------------------------------------------------------

CMAKE = $(BIN)/cmake -G Ninja -S . -DMMREG_PYTHON=OFF -DMMREG_CUDA=OFF

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
