"""Networks run without telling the makers of the libraries, in a process that has loaded neither."""

import os
import subprocess
import sys

import pytest

WITHOUT = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}


def run(code, home, **variables):
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**WITHOUT, "HOME": str(home), **variables},
    )
    return found.stdout + found.stderr


def test_openvino_is_loaded_without_its_telemetry(tmp_path):
    pytest.importorskip("openvino")
    said = run(
        "import sys\nfrom mmreg_rt.backends import by_name\n"
        "assert by_name('openvino').unavailable_reason('cpu') is None\n"
        "from openvino.tools.ovc import telemetry_utils\nprint(telemetry_utils.tm.__name__)\n"
        "print('openvino_telemetry' in sys.modules)",
        tmp_path,
    )
    assert said.split() == ["openvino.tools.ovc.telemetry_stub", "False"]
    assert not (tmp_path / "intel").exists()


def test_onnxruntime_is_loaded_without_its_telemetry(tmp_path):
    pytest.importorskip("onnxruntime")
    said = run(
        "import os\nfrom mmreg_rt.backends import by_name\n"
        "assert by_name('onnxruntime').unavailable_reason('cpu') is None\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])",
        tmp_path,
    )
    assert said.split() == ["1"]
    assert not list(tmp_path.rglob("onnxruntime.db*"))


def test_what_a_user_has_set_stays(tmp_path):
    pytest.importorskip("onnxruntime")
    said = run(
        "import os\nfrom mmreg_rt.backends import by_name\nby_name('onnxruntime').unavailable_reason('cpu')\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])",
        tmp_path,
        ORT_DISABLE_TELEMETRY="0",
    )
    assert said.split()[-1] == "0"
