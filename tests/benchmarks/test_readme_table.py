"""The tables of the README come from the committed results."""

import sys

import pytest
from benchmarks import readme_table
from benchmarks.kernels import table as kernel_table

NATIVE = {
    "native": True,
    "threads": 1,
    "operation": "warp",
    "fraction_of_copy": 0.25,
    "times_best_library": 8.0,
}
LIBRARY = {"native": False, "operation": "warp", "fraction_of_copy": 0.02, "times_best_library": 1.0}
KERNELS = {
    "machine": {"cpu": "a CPU"},
    "commit": "0123",
    "date": "2026-01-01",
    "shape": [160, 192, 224],
    "rows": [
        NATIVE | {"contender": "baseline", "ns_per_voxel": 9.0, "times_best_library": 4.0},
        NATIVE | {"contender": "avx2", "ns_per_voxel": 4.5},
        NATIVE | {"contender": "avx2", "ns_per_voxel": 2.5, "threads": 2},
        LIBRARY | {"contender": "torch", "ns_per_voxel": 36.0, "threads": 1},
        LIBRARY | {"contender": "scipy", "ns_per_voxel": 40.0, "threads": 1},
        LIBRARY | {"contender": "torch", "ns_per_voxel": 18.0, "threads": 2},
    ],
}


def test_an_operation_is_compared_on_one_thread_with_the_best_library_of_one_thread():
    assert "| warp | 9.00 | 4.50 | torch 36.0 | 8.0x | 4.0x |" in kernel_table.section(KERNELS)


def test_only_the_place_of_the_table_changes():
    readme = "a\n<!-- results dev -->\nold\n<!-- end -->\nb\n<!-- results held -->\n<!-- end -->\n"
    expected = readme.replace("old", "new")
    assert readme_table.filled(readme, "dev", "new") == expected
    assert readme_table.filled(expected, "dev", "new") == expected


def test_a_readme_without_the_place_is_refused():
    with pytest.raises(SystemExit, match="results dev"):
        readme_table.filled("nothing here", "dev", "new")


def test_the_readme_shows_the_committed_results(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["readme_table.py", "--check"])
    readme_table.main()
