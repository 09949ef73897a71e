"""After its warm-up a session takes no memory: no calls of the heap, no page faults, no growth."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from fixtures.c_library import run, tool

HERE = Path(__file__).parent / "steady"
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
LAST, HEADERS = 0, 1  # MMREG_START_...
FEW = 3  # the kernel may move a page; memory of ours would be faulted in by every call


@pytest.fixture(scope="module")
def programs(any_installation, tmp_path_factory):
    """The program, and the library that counts its calls for memory."""
    folder, compiler = tmp_path_factory.mktemp("steady"), tool("gcc")
    steady, counter = folder / "steady", folder / "heap_count.so"
    run(compiler, *STRICT, "-O1", "-fPIC", "-shared", HERE / "heap_count.c", "-o", counter)
    found = any_installation.library.parent
    linked = (any_installation.library, f"-Wl,-rpath,{found}", "-lm", "-ldl")
    run(compiler, *STRICT, "-O2", f"-I{any_installation.include}", HERE / "steady.c", *linked, "-o", steady)
    return steady, counter


def measured(programs, depth, side, warm_up, calls, start, deadline_ms=0.0):
    steady, counter = programs
    words = map(str, (depth, side, warm_up, calls, deadline_ms, start))
    done = subprocess.run(
        [steady, *words], capture_output=True, text=True, env=os.environ | {"LD_PRELOAD": str(counter)}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("depth", "side"), [(1, 64), (1, 150), (12, 40)])
def test_tracking_takes_no_memory(programs, depth, side):
    found = measured(programs, depth, side, 48, 32, LAST)
    assert found["heap_calls"] == 0
    assert found["page_faults"] < FEW
    assert found["growth_kb"] == 0


def test_searching_takes_no_memory(programs):
    found = measured(programs, 1, 64, 32, 16, HEADERS)
    assert found["heap_calls"] == 0
    assert found["page_faults"] < FEW


def test_a_deadline_takes_no_memory(programs):
    """Each call stops at another step; the warm-up took the memory of all.

    The exception that ends a step is memory of the C++ runtime: at most one each in search, comparison with
    the start, deformation and its judgement.
    """
    calls = 16
    found = measured(programs, 1, 150, 32, calls, HEADERS, deadline_ms=20.0)
    assert found["heap_calls"] <= 4 * calls
    assert found["page_faults"] < FEW


@pytest.mark.long
def test_memory_does_not_grow_over_many_calls(programs):
    found = measured(programs, 1, 48, 48, 10000, LAST)
    assert found["heap_calls"] == 0
    assert found["growth_kb"] < 8  # 1 kB per 1,000 calls, over four fifths of them
