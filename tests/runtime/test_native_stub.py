"""The stub of the compiled module, with which mypy checks every call into it, is that of this build."""

import subprocess
import sys
from pathlib import Path

import pytest

import mmreg_rt

STUB = Path(mmreg_rt.__file__).with_name("_native.pyi")


def test_the_stored_stub_is_the_generated_one(tmp_path):
    pytest.importorskip("nanobind", reason="nanobind, which generates the stub, is not installed")
    generated = tmp_path / "_native.pyi"
    command = [sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "mmreg_rt._native", "-o", str(generated)]
    subprocess.run(command, check=True)
    advice = "run: python -m nanobind.stubgen -m mmreg_rt._native -o runtime/mmreg_rt/_native.pyi"
    assert generated.read_text() == STUB.read_text(), advice
