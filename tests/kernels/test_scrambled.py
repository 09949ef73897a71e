"""The CUDA operations depend neither on the order of threads nor on memory that nobody has written.

On the host they run from the last thread to the first, on memory full of NaN; what the other tests of this
folder say must still hold. On a device compute-sanitizer says more.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmreg_rt import _native


def test_every_kernel_test_holds_with_scrambled_threads_and_memory():
    if reason := _native.why_no_device("cuda_on_host"):
        pytest.skip(reason)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-k",
            "cuda_on_host",
            str(Path(__file__).parent),
        ],
        env={**os.environ, "MMREG_CUDA_ON_HOST": "scrambled"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
