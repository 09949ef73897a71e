"""The Holoscan operator in an application on a CPU: its answers are those of a session."""

import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmreg_rt import Registrar

if importlib.util.find_spec("holoscan") is None:
    pytest.skip("holoscan-cu13 is not installed", allow_module_level=True)
EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = EXAMPLES / "holoscan_operator"
GUARD_S = 600  # of a run of seconds: a hang, not a busy machine
WITH_A_BAD_FRAME = """
import app
frames, affine, times_s = app.simulated.cine()
frames[2] = 7
application = app.Tracking(frames[:5], affine, times_s[:5])
application.run()
print(application.registration.refused, application.display.times_s)
"""


def run(folder, *words):
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nanobind: leaked" not in done.stderr
    return done.stdout


def test_answers_are_those_of_a_session(tmp_path):
    printed = run(tmp_path, FOLDER / "app.py", "--frames", 5, "-o", "answers.npz")
    answers = np.load(tmp_path / "answers.npz")
    frames, affine, times_s = runpy.run_path(str(EXAMPLES / "cine" / "simulated.py"))["cine"]()
    session = Registrar().session((frames[0], affine))
    expected = [session.register((frame, affine)) for frame in frames[1:5]]
    np.testing.assert_array_equal(answers["times_s"], times_s[1:5])
    np.testing.assert_array_equal(answers["matrices"], [one.affine.matrix for one in expected])
    np.testing.assert_array_equal(answers["warped"], [one.warped.data[0] for one in expected])
    assert "4 answers, 0 frames passed over" in printed


def test_a_frame_that_cannot_be_registered_is_passed_over():
    assert "1 [0.2, 0.6" in run(FOLDER, "-c", WITH_A_BAD_FRAME)
