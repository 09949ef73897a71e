# Every target sets up what it needs in .venv, on a machine with Python >= 3.10 with venv, make and a C++
# compiler: cmake and ninja come as wheels. Repeated runs only redo what has changed.
#
#   make demo    register a generated head phantom and score it; then open demo/report.html
#   make demo FIXED=a.nii.gz MOVING=b.nii.gz    the same for your scans
#   make cuda    build the CUDA operations too, which takes nvcc some minutes; so does MMREG_CUDA=ON
#   make packages    the C library as Debian packages and a tarball, in build/packages
#   make test    C++ tests under sanitizers, then the Python tests on the wheel
#   make test-long    tests of a minute or more each, which `make test` leaves out
#   make lint    style and types
#   make bench   measure, and rewrite the pages of docs/results
#   make pages   rewrite the pages of error codes and bad inputs
#   make fuzz    feed broken files to the readers for FUZZ_SECONDS=600
#   make setup   all tools and libraries for development
#   make cross   compile the C library and the C++ tests for AArch64; run them, if qemu-user is installed
#   make ptx     run the CUDA tests on the PTX of the kernels without a GPU, if nvcc and the tool are installed

PYTHON ?= python3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# Real scans for the tests; without the folder those tests are skipped with a message.
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
STEP := @$(PYTHON) .ci/step
SHOW := $(STEP) --show
# cmake and ninja of the environment come before those of the machine
export PATH := $(abspath $(BIN)):$(PATH)

NATIVE := CMakeLists.txt $(shell find cmake -type f) $(shell find cpp_ext -name '*.h*' -o -name '*.c*' -o -name '*.map' -o -name 'CMakeLists.txt')
PACKAGE := $(shell find runtime train export -type f ! -name '*.so' ! -path '*__pycache__*') $(filter-out cpp_ext/tests/% cpp_ext/third_party/%,$(NATIVE))

# If unset, CUDA stays as the build folder has it, and is off in a new one.
ifdef MMREG_CUDA
export MMREG_CUDA
ifneq ($(shell sed -n 's/^MMREG_CUDA:BOOL=//p' build/wheel/CMakeCache.txt 2>/dev/null),$(MMREG_CUDA))
$(DONE)/wheel: FORCE
endif
endif

.PHONY: FORCE help setup demo cuda packages bench pages fuzz test test-long test-cpp lint format cross ptx clean
help:
	@sed -n 's/^#   //p' Makefile

setup: $(DONE)/package $(DONE)/dev $(DONE)/bench

# ---- the environment ---------------------------------------------------------------------------------

$(DONE)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo 'mmreg_rt needs Python >= 3.10: make PYTHON=/path/to/python3'; exit 1; }
	$(STEP) 'Creating an environment in $(VENV)' $(PYTHON) -m venv $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/build-tools: $(DONE)/python constraints.txt
	$(STEP) 'Installing build tools' $(PIP) scikit-build-core nanobind cmake ninja
	@touch $@

$(DONE)/lint-tools: $(DONE)/python constraints.txt
	$(STEP) 'Installing ruff, mypy and clang-format' $(PIP) ruff mypy clang-format codespell numpy nibabel click
	@touch $@

# The wheel is built with the flags of a user's build; the build folder is kept, so a change costs little.
$(DONE)/wheel: $(DONE)/build-tools $(PACKAGE) pyproject.toml
	@rm -rf dist
	$(STEP) 'Compiling the package, $(JOBS) files at a time' \
	  env SKBUILD_BUILD_DIR=build/wheel CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) \
	  $(BIN)/python -m pip --disable-pip-version-check wheel -v . -w dist --no-deps --no-build-isolation
	@touch $@

$(DONE)/package: $(DONE)/wheel constraints.txt
	$(STEP) 'Installing it' $(PIP) --force-reinstall --no-deps dist/*.whl
	$(STEP) 'Installing its dependencies: numpy, nibabel, click, jinja2' $(PIP) dist/*.whl
	@touch $@

$(DONE)/dev: $(DONE)/package pyproject.toml
	$(STEP) 'Installing the dependencies of tests and training: PyTorch, ONNX Runtime, OpenVINO and others' \
	  $(PIP) torch==2.13.0 "$$(echo dist/*.whl)[dev,train,export,llm]"
	@touch $@

# The C library as it is packaged; with ccache, its files are those of the wheel.
$(DONE)/capi: $(DONE)/build-tools $(NATIVE) pyproject.toml
	$(STEP) 'Configuring the C library' $(CMAKE) -B build/capi -DCMAKE_INSTALL_PREFIX=/usr
	$(STEP) 'Compiling the C library' $(BIN)/cmake --build build/capi -j $(JOBS)
	@touch $@

$(DONE)/bench: $(DONE)/dev
	@touch $@

# ---- targets for users ----------------------------------------------------------------------------------

demo: $(DONE)/package
	$(BIN)/mmreg demo -o demo $(if $(FIXED),--fixed "$(FIXED)") $(if $(MOVING),--moving "$(MOVING)")

cuda:
	@command -v nvcc > /dev/null || { echo 'make cuda needs nvcc on the PATH'; exit 1; }
	@MMREG_CUDA=ON $(MAKE) --no-print-directory $(DONE)/package

packages: $(DONE)/capi
	@rm -rf build/packages
	$(STEP) 'Packaging the C library' $(BIN)/cpack --config build/capi/CPackConfig.cmake -B build/packages
	@ls build/packages/*.*

# The measurements behind docs/results, on an idle machine: digital heads always; the pairs of heldout_pairs.toml if
# MMREG_DATA has the scans; those of TASKS=DIR (benchmarks/registration/compare.py documents the folder). Installed
# peers are measured too, which takes hours; a missing one is a row that says so. `PEERS=` skips them: minutes.
PEERS ?= greedy,convexadam,ants,elastix
REGISTRATION = $(BIN)/python -m benchmarks.registration.compare --peers "$(PEERS)"
RESULTS := benchmarks/results/registration

bench: $(DONE)/bench
	$(BIN)/python -m benchmarks.kernels.measure
	$(BIN)/python -m benchmarks.backends.measure
	$(BIN)/python -m benchmarks.datasets.prepare_phantoms build/tasks/phantoms
	$(REGISTRATION) --tasks build/tasks/phantoms --align affine --results $(RESULTS)_phantoms.json
ifdef TASKS
	$(REGISTRATION) --tasks "$(TASKS)" --results $(RESULTS)_dev.json
endif
ifneq ($(MMREG_DATA),)
	$(BIN)/python -m benchmarks.datasets.prepare_heldout $(MMREG_DATA) build/tasks/heldout
	@if ls build/tasks/heldout/*/fixed.nii.gz > /dev/null 2>&1; then set -x; \
	  $(REGISTRATION) --tasks build/tasks/heldout --results $(RESULTS)_heldout.json; fi
endif
	$(BIN)/python -m benchmarks.results_pages

pages: $(DONE)/dev
	PYTHONPATH=tests $(BIN)/python tests/runtime/write_errors.py
	PYTHONPATH=tests $(BIN)/python -m bad_inputs.write_table
	PYTHONPATH=tests $(BIN)/python -m capi.write_codes
	PYTHONPATH=tests $(BIN)/python -m dialects.write_table

FUZZ_SECONDS ?= 600
fuzz: $(DONE)/dev
	$(PIP) atheris
	PYTHONPATH=tests $(BIN)/python -m fuzz.fuzz_headers --seconds $(FUZZ_SECONDS)
	PYTHONPATH=tests $(BIN)/python -m fuzz.fuzz_bundles --seconds $(FUZZ_SECONDS)
	PYTHONPATH=tests $(BIN)/python -m capi.fuzz_manifest --seconds $(FUZZ_SECONDS)

# The CUDA operations compiled for the host, beside the installed package, so that tests need no device.
$(DONE)/cuda-on-host: $(DONE)/package
	$(STEP) 'Configuring the CUDA operations for the host' $(CMAKE) -B build/cuda-on-host -DMMREG_CUDA_ON_HOST=ON
	$(STEP) 'Compiling the CUDA operations for the host' \
	  $(BIN)/cmake --build build/cuda-on-host -j $(JOBS) --target mmreg_cuda_on_host
	@cp runtime/mmreg_rt/libmmreg_cuda_on_host.so \
	  "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/mmreg_rt/"
	@touch $@

# Tests of training run in separate processes: torch crashes if every other library is loaded before it.
# Tests marked long take a minute or more of CPU time.
PYTEST = $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --durations=10
test: $(DONE)/dev $(DONE)/cuda-on-host $(DONE)/capi test-cpp
	$(if $(wildcard build/wheel/cuda),$(BIN)/python -m benchmarks.kernels.registers build/wheel/cuda)
	$(SHOW) 'Python tests, except training' $(PYTEST) -m 'not long' --ignore tests/train
	$(SHOW) 'Tests of training' $(PYTEST) -m 'not long' tests/train

test-long: $(DONE)/dev $(DONE)/cuda-on-host
	$(SHOW) 'Long tests, except training' $(PYTEST) -m long --ignore tests/train
	$(SHOW) 'Long tests of training' $(PYTEST) -m long tests/train
	$(SANITIZED) -B build/asan -DMMREG_TARGETS="$(EVERY_TARGET)"
	$(STEP) 'Compiling the C++ tests for every target of this CPU, with address and undefined-behaviour sanitizers' \
	  $(BIN)/cmake --build build/asan -j $(JOBS)
	$(SHOW) 'C++ tests' $(CTEST) --test-dir build/asan

lint: $(DONE)/lint-tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	find cpp_ext examples -name '*.h*' -o -name '*.c' -o -name '*.cpp' -o -name '*.cu' | xargs $(BIN)/clang-format --dry-run -Werror

format: $(DONE)/lint-tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find cpp_ext examples -name '*.h*' -o -name '*.c' -o -name '*.cpp' -o -name '*.cu' | xargs $(BIN)/clang-format -i

# ---- C++ ---------------------------------------------------------------------------------------------

CMAKE = env -u MMREG_CUDA $(BIN)/cmake -G Ninja -S . -DMMREG_PYTHON=OFF -DMMREG_CUDA=OFF
CTEST = $(BIN)/ctest -j $(JOBS) --output-on-failure --progress

# Sanitized code of a target takes long to compile, and is tested only where the CPU runs it: the baseline and the widest
# target of this CPU here, every target in `make test-long`.
CPU_FLAGS := $(shell grep -m1 ^flags /proc/cpuinfo)
EVERY_TARGET := baseline$(if $(filter avx2,$(CPU_FLAGS)),;avx2)$(if $(filter avx512bw,$(CPU_FLAGS)),;avx512)
TWO_TARGETS := baseline$(if $(filter avx512bw,$(CPU_FLAGS)),;avx512,$(if $(filter avx2,$(CPU_FLAGS)),;avx2))
SANITIZED = $(STEP) 'Configuring' $(CMAKE) -DMMREG_CPP_TESTS=ON -DMMREG_SANITIZE=address,undefined

test-cpp: $(DONE)/build-tools
	$(SANITIZED) -B build/asan -DMMREG_TARGETS="$(TWO_TARGETS)"
	$(STEP) 'Compiling the C++ tests with address and undefined-behaviour sanitizers' \
	  $(BIN)/cmake --build build/asan -j $(JOBS)
	$(SHOW) 'C++ tests' $(CTEST) --test-dir build/asan
	$(STEP) 'Configuring' $(CMAKE) -B build/tsan -DMMREG_CPP_TESTS=ON -DMMREG_SANITIZE=thread -DMMREG_TARGETS=baseline
	$(STEP) 'Compiling the C++ tests of the queue and of the C library with the thread sanitizer' \
	  $(BIN)/cmake --build build/tsan -j $(JOBS) --target mmreg_thread_tests
	$(SHOW) 'C++ tests of the queue and of the C library' build/tsan/cpp_ext/tests/mmreg_thread_tests

# The C library and the C++ tests for AArch64, whose baseline is NEON, by the cross compiler of the system or else by Zig.
# If qemu-user and the C library of AArch64 are installed, the tests are run, without those of whole registrations but one,
# which take minutes; EMULATED_SKIPS= runs them too.
CROSS := $(shell command -v aarch64-linux-gnu-g++)
QEMU := $(shell command -v qemu-aarch64)
AARCH64_LIBRARIES := /usr/aarch64-linux-gnu
EMULATED_SKIPS ?= align*,deform*,engines*,capi*
ZIG = $(abspath $(shell $(BIN)/python -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/zig)
CROSS_TOOLS = $(if $(CROSS),-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=$(CROSS),\
  -DCMAKE_TOOLCHAIN_FILE=cmake/zig_aarch64.cmake -DMMREG_ZIG=$(ZIG))

$(DONE)/zig: $(DONE)/python constraints.txt
	$(STEP) 'Installing Zig, which compiles for AArch64' $(PIP) ziglang
	@touch $@

cross: export ZIG_GLOBAL_CACHE_DIR := $(CURDIR)/build/aarch64/zig
cross: $(DONE)/build-tools $(if $(CROSS),,$(DONE)/zig)
	$(STEP) 'Configuring for AArch64' $(CMAKE) -B build/aarch64 $(CROSS_TOOLS) -DMMREG_CPP_TESTS=ON -DMMREG_OPTIMISE=-O1 \
	  -DCMAKE_CXX_FLAGS_RELEASE=-O1
	$(STEP) 'Compiling the C library and the C++ tests for AArch64' \
	  $(BIN)/cmake --build build/aarch64 -j $(JOBS) --target mmreg_c mmreg_tests
ifeq ($(QEMU),)
	@echo 'SKIPPED running the C++ tests of AArch64: qemu-aarch64 is not installed'
else ifeq ($(wildcard $(AARCH64_LIBRARIES)/lib/ld-linux-aarch64.so.1),)
	@echo 'SKIPPED running the C++ tests of AArch64: its C library is not in $(AARCH64_LIBRARIES) (libc6-arm64-cross)'
else
	$(SHOW) 'C++ tests on an emulated AArch64, except of whole registrations' $(QEMU) -L $(AARCH64_LIBRARIES) \
	  build/aarch64/cpp_ext/tests/mmreg_tests '--test-case-exclude=$(EMULATED_SKIPS)'
	$(SHOW) 'A registration on an emulated AArch64' $(QEMU) -L $(AARCH64_LIBRARIES) \
	  build/aarch64/cpp_ext/tests/mmreg_tests '--test-case=capi: points_labels_and_fields_agree'
endif

# The CUDA tests on the PTX of the kernels, translated to C++ and run on the host, which finds races, accesses out of bounds
# and missing waits. The tool is beside the repository, like the scans. A capability takes about ten minutes of a core to
# build and as long to run; MODES=races and TESTS=... take less.
MMREG_PTX_TOOL ?= $(abspath ../shared/tools/ptx)
PTX_CAPABILITIES ?= 75 90 120
ifeq ($(shell command -v nvcc),)
ptx:
	@echo 'SKIPPED ptx: nvcc is not on the PATH'
else ifeq ($(wildcard $(MMREG_PTX_TOOL)/run.sh),)
ptx:
	@echo 'SKIPPED ptx: MMREG_PTX_TOOL=$(MMREG_PTX_TOOL) has no run.sh'
else
NVCC = $(shell nvcc --dryrun -x cu /dev/null 2>&1 | sed -n 's/^\#\$$ TOP=//p')/bin/nvcc
# The tool expects an earlier folder layout, to which links are made, and earlier names, which a copy of it is freed of.
PTX_VIEW := build/ptx/view
PTX_TOOL := build/ptx/tool
ptx: $(DONE)/dev
	@rm -rf $(PTX_VIEW) $(PTX_TOOL) && mkdir -p $(PTX_VIEW)/cpp_ext/solver $(PTX_VIEW)/tests
	@cp -pr "$(MMREG_PTX_TOOL)" $(PTX_TOOL) && chmod -R u+w $(PTX_TOOL)
	@sed -i -f .ci/ptx_names.sed $(PTX_TOOL)/compare.py $(PTX_TOOL)/large.py $(PTX_TOOL)/accepted.txt
	@ln -s $(CURDIR)/runtime $(CURDIR)/pyproject.toml $(CURDIR)/benchmarks $(PTX_VIEW)
	@ln -s $(CURDIR)/tests/* $(CURDIR)/tests/runtime/test_plan.py $(PTX_VIEW)/tests
	@ln -s $(addprefix $(CURDIR)/cpp_ext/,core cuda ops plugins plugins/tensorrt) $(PTX_VIEW)/cpp_ext
	@ln -s $(CURDIR)/cpp_ext/ops/memory_pool.cpp $(PTX_VIEW)/cpp_ext/solver/blocks.cpp
	@for capability in $(PTX_CAPABILITIES); do \
	  echo "PTX $$capability, in build/ptx/$$capability"; \
	  env -u PYTHONPATH sh $(PTX_TOOL)/run.sh $(PTX_VIEW) build/ptx/$$capability $(abspath $(BIN)/python) "$(NVCC)" $$capability \
	    || { echo "PTX $$capability failed"; exit 1; }; done
endif

clean:
	rm -rf $(VENV) build dist demo
