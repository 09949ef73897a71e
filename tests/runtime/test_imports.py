"""Which package may import which: the table of the architecture page, file by file; the cost of an import."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "runtime" / "mmreg_rt"
CPP = ROOT / "cpp_ext"

# third-party package -> the part of the runtime that may import it; numpy may be imported anywhere
THIRD_PARTY = {
    "nibabel": "io",
    "pydicom": "io",
    "click": "cli",
    "h5py": "io",  # by its name, when a file needs it
    "jinja2": "report",
    "cryptography": "bundle",
    "onnxruntime": "backends",
    "openvino": "backends",
    "tensorrt": "backends",  # for types: it is loaded by its name
}
FOR_TYPES = {"typing_extensions"}  # never imported when the package runs
AT_THE_TOP = {"click"}  # its decorators are needed to define a command; cli/ is loaded by commands only
NOT_LOADED = (
    "torch",
    "onnxruntime",
    "openvino",
    "nibabel",
    "h5py",
    "pydicom",
    "SimpleITK",
    "scipy",
    "click",
    "jinja2",
    "cryptography",
    "pydicom",
    "PIL",
    "onnx",
    "mmreg_train",
)

# Packages of the runtime, lowest first: each imports only from those before it. `__init__` imports lazily.
LAYERS = (
    "errors",
    "text",
    "arguments",
    "process",
    "c_library",
    "onnx_model",
    "deadline",
    "geometry",
    "metrics",
    "transform",
    "preprocess",
    "phantom",
    "report",
    "io",
    "input_validation",
    "bundle",
    "backends",
    "network",
    "deployment",
    "results",
    "decisions",
    "device",
    "options",
    "plan",
    "session",
    "registrar",
    "motion",
    "cli",
    "__main__",
)
TRAIN_LAYERS = ("config", "layers", "losses", "methods", "data", "engine", "cli")
# Most files directly in a package, so that a reader who opens it sees its folders.
FLAT = {"runtime/mmreg_rt": 14, "train/mmreg_train": 4, "benchmarks": 4}

# Compiled once, for the baseline.
CPU_PARTS = ("cpu/memory.h", "cpu/processors.h", "cpu/queue.h")
# Compiled once per CPU target: no header with a container, algorithm or function object. The linker keeps one
# copy of such a template for all targets, which on a CPU without AVX-512 may be the AVX-512 one.
PLAIN_HEADERS = {
    "core": {"cmath", "cstddef", "cstdint", "cstring"},
    "cpu/target": {"cmath", "cstddef", "cstdint", "cstring", "type_traits", "immintrin.h", "arm_neon.h"},
}
# folder of cpp_ext -> what its quoted includes may start with, and what else besides C++ headers is allowed
INCLUDES = {
    "core": (("core/",), ()),
    "ops": (("core/", "ops/"), ("dlfcn.h", "unistd.h")),
    "cpu": (
        ("core/", "ops/", "cpu/"),
        ("pthread.h", "sched.h", "sys/mman.h", "cpuid.h", "immintrin.h", "arm_neon.h"),
    ),
    "cuda": (("core/", "ops/", "cuda/"), ("cuda_runtime.h", "cuda_fp16.h", "sys/mman.h")),
    "solver/math": (("core/", "solver/math/"), ()),
    "solver/align": (("core/", "ops/", "solver/math/", "solver/align/"), ()),
    "solver/deform": (("core/", "ops/", "solver/math/", "solver/deform/"), ()),
    "pipeline": (("core/", "ops/", "solver/", "pipeline/"), ()),
    "plugins/onnxruntime": (("ops/", "plugins/onnxruntime/", *CPU_PARTS), ()),
    "plugins/tensorrt": (("ops/", "cuda/", "core/", "plugins/tensorrt/"), ("NvInfer", "cuda_runtime")),
    "bind": (
        ("core/", "ops/", "solver/", "pipeline/", "bind/", *CPU_PARTS),
        ("nanobind/", "cxxabi.h", "unistd.h"),
    ),
    "capi": (
        (
            *("core/", "ops/", "solver/", "pipeline/", "capi/", "mmreg.h", "cpu/queue.h", "cpu/processors.h"),
            "plugins/onnxruntime/abi.h",
        ),
        (
            *("stddef.h", "stdint.h", "dirent.h", "dlfcn.h", "fcntl.h", "unistd.h"),
            *("sys/stat.h", "sys/utsname.h", "NvInfer"),
        ),
    ),
}


def python_files():
    return sorted(RUNTIME.rglob("*.py"))


def for_types(tree):
    """Ids of all nodes that only type checkers see."""
    return {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }


def imports(path):
    """(top-level package, whether it runs on import) of every import; type-checking blocks do not run."""
    tree = ast.parse(path.read_text())
    skipped = for_types(tree)
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
        if name in FOR_TYPES and not at_the_top:
            continue
        assert THIRD_PARTY.get(name) == part, f"{path.name} must not import {name}"
        assert not at_the_top or name in AT_THE_TOP, f"import {name} inside the function that needs it"


def imported_modules(path, base):
    """Dotted names of the modules below `base` that a file imports when it runs, not only for types."""
    parts = path.relative_to(base).parts
    tree = ast.parse(path.read_text())
    skipped = for_types(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or id(node) in skipped:
            continue
        source = (node.module or "").split(".") if node.module else []
        if node.level:
            source = [*parts[: len(parts) - node.level], *source]
        for alias in node.names:
            module = [*source, alias.name]
            inside = base.joinpath(*module)
            known = inside.is_dir() or inside.with_suffix(".py").is_file()
            yield ".".join(module if known else source)


@pytest.mark.parametrize(
    ("base", "package", "layers"),
    [(ROOT / "runtime", "mmreg_rt", LAYERS), (ROOT / "train", "mmreg_train", TRAIN_LAYERS)],
    ids=["runtime", "train"],
)
def test_packages_import_from_lower_layers_only(base, package, layers):
    for path in sorted((base / package).rglob("*.py")):
        own = path.relative_to(base / package).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for module in imported_modules(path, base):
            top, _, rest = module.partition(".")
            other = rest.partition(".")[0]
            if top != package or other in ("", own, "_native"):
                continue
            assert layers.index(other) < layers.index(own), f"{path.relative_to(base)} imports {module}"


@pytest.mark.parametrize("folder", FLAT)
def test_few_files_lie_flat_in_a_package(folder):
    files = [path for path in (ROOT / folder).iterdir() if path.is_file() and path.suffix != ".so"]
    assert len(files) <= FLAT[folder], sorted(path.name for path in files)


@pytest.mark.parametrize(
    ("base", "package"),
    [("runtime", "mmreg_rt"), ("train", "mmreg_train"), ("export", "mmreg_export"), (".", "benchmarks")],
)
def test_python_has_no_import_cycles(base, package):
    files = {}
    for path in (ROOT / base / package).rglob("*.py"):
        parts = path.relative_to(ROOT / base).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        files[name] = {module for module in imported_modules(path, ROOT / base) if module != name}
    assert files
    assert_acyclic(files)


def test_native_code_has_no_include_cycles():
    files = {}
    for path in CPP.rglob("*"):
        if path.suffix in (".h", ".cpp", ".cu"):
            names = re.findall(r'^\s*#\s*include\s*"([^"]+)"', path.read_text(), re.M)
            files[str(path.relative_to(CPP))] = {name for name in names if (CPP / name).exists()}
    assert_acyclic(files)


def assert_acyclic(files):
    try:
        graphlib.TopologicalSorter(files).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"these import each other: {' <- '.join(error.args[1])}")


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


@pytest.mark.parametrize("folder", PLAIN_HEADERS)
def test_code_that_every_target_compiles_includes_plain_headers_only(folder):
    for path in (CPP / folder).iterdir():
        included = set(re.findall(r"^\s*#\s*include\s*<([^>]+)>", path.read_text(), re.MULTILINE))
        assert included <= PLAIN_HEADERS[folder], (
            f"{path.relative_to(ROOT)}: {included - PLAIN_HEADERS[folder]}"
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
