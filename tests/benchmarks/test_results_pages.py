"""The pages of results are generated from the committed results."""

import json
import sys

import pytest
from benchmarks import results_pages
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


def test_every_results_file_is_a_section_and_a_section_without_results_is_left_out(tmp_path):
    (tmp_path / "kernels.json").write_text(json.dumps(KERNELS))
    pages = results_pages.pages(tmp_path)
    assert "| warp | 9.00 | 4.50 |" in pages["operations.md"]
    assert "## " not in pages["registration.md"] + pages["networks.md"]


def test_a_results_file_without_a_section_is_refused(tmp_path):
    (tmp_path / "other.json").write_text(json.dumps(KERNELS))
    with pytest.raises(SystemExit, match="other"):
        results_pages.pages(tmp_path)


def test_the_pages_show_the_committed_results(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["results_pages.py", "--check"])
    results_pages.main()


def test_a_page_that_is_not_current_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["results_pages.py", "--check"])
    monkeypatch.setattr(results_pages, "DOCS", tmp_path)
    with pytest.raises(SystemExit, match="not what the results give"):
        results_pages.main()
