"""Who may import whom: the table of the architecture page, held file by file, and what an import costs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / "runtime" / "mmreg_rt"
CPP = ROOT / "cpp_ext"

# third-party package -> the part of the runtime that may import it; numpy may be imported anywhere
THIRD_PARTY = {
    "nibabel": "io",
    "click": "cli",
    "cryptography": "signature",
    "onnxruntime": "backends",
    "openvino": "backends",
}
AT_THE_TOP = {"click"}  # its decorators are needed to define a command; cli/ is loaded by commands only
NOT_LOADED = (
    "torch",
    "onnxruntime",
    "openvino",
    "nibabel",
    "SimpleITK",
    "scipy",
    "click",
    "cryptography",
    "onnx",
    "mmreg_train",
)

# headers with the plain data that the table names
DATA = tuple(re.findall(r'#include "(core/[^"]+)"', (CPP / "solver" / "operations.h").read_text()))
# what every processor fills the table with
TABLE = (
    "solver/operations.h",
    "solver/target_operations.h",
    "solver/target_table.h",
    "solver/blocks.h",
    "solver/alarm.h",
)
CPU_PARTS = ("cpu/memory.h", "cpu/processors.h", "cpu/queue.h")  # compiled once, for the baseline
# folder of cpp_ext -> what its quoted includes may start with, and what else besides C++ headers is allowed
INCLUDES = {
    "core": (("core/",), ()),
    "cpu": (
        ("core/", "cpu/", *TABLE),
        ("pthread.h", "sched.h", "sys/mman.h", "cpuid.h", "immintrin.h", "arm_neon.h"),
    ),
    "cuda": (
        ("core/", "cuda/", "solver/device_error.h", *TABLE),
        ("cuda_runtime.h", "cuda_fp16.h", "sys/mman.h"),
    ),
    "solver": (("solver/", *DATA), ()),
    "pipeline": (("solver/", "pipeline/", *DATA), ()),
    "onnxruntime": (
        ("solver/batch_warp.h", "onnxruntime/", "bind/devices.h", "cpu/memory.h", "cpu/queue.h"),
        (),
    ),
    "tensorrt": (("solver/", "cuda/", "core/", "tensorrt/"), ("NvInfer", "cuda_runtime")),
    "bind": (
        (
            "solver/",
            "pipeline/",
            "bind/",
            "cpu/memory.h",
            "cpu/processors.h",
            "cpu/queue.h",
            "cuda/device.h",
            *DATA,
        ),
        ("nanobind/", "cxxabi.h", "dlfcn.h", "unistd.h"),
    ),
}


def python_files():
    return sorted(RUNTIME.rglob("*.py"))


def imports(path):
    """(top-level package, whether it runs on import) of every import; type-checking blocks do not run."""
    tree = ast.parse(path.read_text())
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(id(inner) for statement in node.body for inner in ast.walk(statement))
    inside = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        for name in names:
            yield name.partition(".")[0], id(node) not in inside and id(node) not in skipped


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(RUNTIME)))
def test_runtime_imports_only_what_it_may(path):
    part = path.relative_to(RUNTIME).parts[0].removesuffix(".py")
    for name, at_the_top in imports(path):
        if name in sys.stdlib_module_names or name in ("numpy", "mmreg_rt"):
            continue
        assert THIRD_PARTY.get(name) == part, f"{path.name} must not import {name}"
        assert not at_the_top or name in AT_THE_TOP, f"import {name} inside the function that needs it"


@pytest.mark.parametrize("folder", INCLUDES)
def test_native_folders_include_only_what_they_may(folder):
    quoted, angled = INCLUDES[folder]
    for path in sorted((CPP / folder).rglob("*")):
        if path.suffix not in (".h", ".cpp", ".cu"):
            continue
        for opening, name in re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)', path.read_text(), re.M):
            allowed = (
                name.startswith(quoted) if opening == '"' else "." not in name or name.startswith(angled)
            )
            assert allowed, f"{path.relative_to(ROOT)} must not include {name}"


def test_target_files_use_no_container_of_the_standard_library():
    forbidden = re.compile(r"#\s*include\s*<(vector|string|map|functional|memory|algorithm|array|deque|set)>")
    for path in (CPP / "cpu" / "target").glob("*"):
        assert not forbidden.search(path.read_text()), (
            f"{path.name}: the linker would keep one target's copy for all"
        )


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_loads_nothing_heavy():
    loaded = run(
        "import sys, mmreg_rt; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    ).split()
    assert "mmreg_rt" in loaded
    assert not set(NOT_LOADED) & set(loaded)


def test_importing_the_package_costs_at_most_60_ms_above_numpy():
    code = (
        "import time, numpy; begin = time.perf_counter(); import mmreg_rt, mmreg_rt._native\n"
        "print(time.perf_counter() - begin)"
    )
    # the least of nine: noise of a busy machine only adds
    assert min(float(run(code)) for _ in range(9)) <= 0.060
