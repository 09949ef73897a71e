"""Every operation of ``ops/op_list.h`` is bound, has a twin, tests in Python and C++, and a benchmark row.

Its CPU and CUDA halves need no test here: the tables are filled from the list, and would not link without
them. Exceptions are listed with their reasons, and one that is no longer needed fails too.
"""

import ast
import json
import re
from pathlib import Path

import pytest
from benchmarks.kernels import measure
from benchmarks.kernels.case import CASES
from benchmarks.kernels.table import operation_of

from mmreg_rt import _native

ROOT = Path(__file__).parents[2]
LIST = (ROOT / "cpp_ext" / "ops" / "op_list.h").read_text()
OPERATIONS = re.findall(r"^MMREG_OPERATION\([^,]+,\s*(\w+),", LIST, re.MULTILINE)

MEMORY = {"allocate", "release", "trim", "upload", "download"}  # every call uses them
BOUND_AS = {"warp_half": "warp"}  # for images in half precision

TWINS_OF_ANOTHER_NAME = {
    "invert": "residual",
    "coupled_convex": "coupled_cost",
    "sample_points": "sample",
    "sample_histogram": "histogram",
    "sample_gradient": "gradient",
    "remove_folds": "smallest_of_nine",
    "count_folds": "smallest_of_nine",
    "pool_features": "pool",
    "warp_grad_displacement": "linear",  # its differences
    "warp_grad_image": "linear",  # whose adjoint it is
}
NUMPY_IS_THE_TWIN = {
    "fill", "axpby", "multiply", "divide", "where", "lengths", "threshold", "add_affine", "interleave",
    "summary", "max_displacement", "percentiles", "append_intensity_channels",
}  # fmt: skip

NO_CASE_IN_CPP = {
    # the Python tests cover extents, threads and targets, but not under sanitizers
    "warp_grad_displacement", "warp_grad_image", "count_folds",
}  # fmt: skip

NO_BENCHMARK_ROW = MEMORY | {
    # one pass over memory
    "fill", "axpby", "multiply", "divide", "where", "lengths", "add_affine", "threshold",
    "interleave", "normalise",
    # the solver uses the half-precision form, which has a row
    "cost_volume", "smooth_cost", "coupled_convex",
    # no library computes the same: timed as part of a registration
    "append_intensity_channels", "similarity_gradient", "adam_step", "detail", "texture", "active_rows",
    "remove_folds", "count_folds", "pool_mapped", "sample_points", "sample_histogram", "sample_gradient",
    # timed as part of a training step
    "warp_grad_displacement", "warp_grad_image",
}  # fmt: skip


def sources(folder, *endings):
    paths = sorted(path for path in (ROOT / folder).iterdir() if path.suffix in endings)
    return "\n".join(path.read_text() for path in paths)


def without(names):
    """Return the operations that are missing in ``names``."""
    return set(OPERATIONS) - set(names)


@pytest.fixture(scope="module")
def rows():
    pytest.importorskip("scipy", reason="the benchmarks need SciPy")
    measure.load_cases()
    return set(CASES)


def test_the_whole_list_is_read():
    assert len(OPERATIONS) == len(set(OPERATIONS)) == LIST.count("\nMMREG_OPERATION(")


def test_every_operation_is_bound():
    assert without(dir(_native)) == MEMORY | BOUND_AS.keys()
    assert set(BOUND_AS.values()) <= set(OPERATIONS)


def test_every_operation_is_called_by_a_kernel_test():
    assert without(re.findall(r"_native\.(\w+)", sources("tests/kernels", ".py"))) == MEMORY | BOUND_AS.keys()


def test_every_operation_has_a_twin():
    functions = {
        node.name
        for node in ast.parse(sources("tests/reference", ".py")).body
        if isinstance(node, ast.FunctionDef)
    }
    halves = {f"{name}_half" for name in OPERATIONS if f"{name}_half" in OPERATIONS}
    assert without(functions) - halves == MEMORY | NUMPY_IS_THE_TWIN | TWINS_OF_ANOTHER_NAME.keys()
    assert set(TWINS_OF_ANOTHER_NAME.values()) <= functions


def test_every_operation_has_a_case_in_cpp():
    called = re.findall(r"(?:\.|->|::)(\w+)", sources("cpp_ext/tests", ".cpp", ".h"))
    assert without(called) == NO_CASE_IN_CPP


def test_every_operation_has_a_benchmark_row(rows):
    assert without(map(operation_of, rows)) == NO_BENCHMARK_ROW


def test_every_benchmark_row_names_an_operation(rows):
    stored = json.loads((ROOT / "benchmarks" / "results" / "kernels.json").read_text())["rows"]
    assert {operation_of(row) for row in rows | {row["operation"] for row in stored}} <= set(OPERATIONS)
