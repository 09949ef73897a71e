"""The wheel as a user gets it, and its machine code: what runs before the CPU is known must run on any."""

import os
import platform
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT = (".so", ".ptx")
OBJECTS = ROOT / "build" / "wheel"
ANY_CPU = ("mmreg.dir", "mmreg_baseline.dir", "_native.dir", "nanobind-static.dir")


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def wheel():
    found = sorted((ROOT / "dist").glob("mmreg_rt-*.whl"))
    if not found:
        pytest.skip("no wheel in dist/: `make test` builds it")
    return found[-1]


def objects(part):
    if not shutil.which("objdump"):
        pytest.skip("objdump is not installed")
    if platform.machine() != "x86_64":
        pytest.skip("only x86-64 has more than one target")
    found = [path for path in OBJECTS.rglob("*.o") if part in path.parts]
    if not found:
        pytest.skip("no objects in build/wheel: `make test` builds them")
    return found


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size < 10e6


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"mmreg_rt", "mmreg_train", "mmreg_export"}
    assert {name for name in names if name.startswith("mmreg_train/configs/")} == {
        f"mmreg_train/configs/{path.name}" for path in (ROOT / "train" / "configs").glob("*.toml")
    }
    asked_for = "MMREG_CUDA:BOOL=ON" in (ROOT / "build" / "wheel" / "CMakeCache.txt").read_text().splitlines()
    cuda = {"mmreg_rt/libmmreg_cuda.so", "mmreg_rt/warp_ahead.ptx"} if asked_for else set()
    built = {name for name in names if name.endswith(BUILT)}
    c_library = {name for name in names if name.startswith(("mmreg_rt/lib/", "mmreg_rt/include/"))}
    assert {"mmreg_rt/lib/libmmreg.so.1", "mmreg_rt/include/mmreg.h"} <= c_library
    assert {name for name in built - c_library if not name.startswith("mmreg_rt/_native")} == cuda
    packaged = {
        name for name in names if name.startswith("mmreg_rt/") and not name.endswith(BUILT)
    } - c_library
    sources = {path for path in (ROOT / "runtime").rglob("*") if path.is_file() and path.suffix not in BUILT}
    assert packaged - c_library == {
        str(p.relative_to(ROOT / "runtime")) for p in sources if p.parent.name != "__pycache__"
    }


def test_the_wheel_installs_and_runs_in_a_new_environment(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")
    }
    install = [python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True, env=environment, capture_output=True)
    code = "import mmreg_rt, mmreg_rt._native as native; print(mmreg_rt.__file__, *native.targets())"
    found = subprocess.run(
        [python, "-c", code], check=True, env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert found.stdout.startswith(str(tmp_path))
    assert found.stdout.split()[-1] == "baseline"
    command = [tmp_path / "env" / "bin" / "mmreg", "doctor"]
    subprocess.run(command, check=True, env=environment, capture_output=True, cwd=tmp_path)


def test_symbols_are_stripped(wheel, tmp_path):
    if not shutil.which("readelf"):
        pytest.skip("readelf is not installed")
    with zipfile.ZipFile(wheel) as archive:
        module = archive.extract(next(n for n in archive.namelist() if n.endswith(".so")), tmp_path)
    assert not re.search(r"\.symtab|\.debug_info", output("readelf", "-S", "-W", module))


@pytest.mark.parametrize("part", ANY_CPU)
def test_code_for_any_cpu_has_no_wide_registers(part):
    for path in objects(part):
        assert not re.search(r"%[yz]mm|\tv[a-z]", output("objdump", "-d", "--no-show-raw-insn", path)), (
            path.name
        )


def test_code_for_avx2_has_no_avx512():
    for path in objects("mmreg_avx2.dir"):
        assert not re.search(
            r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])|%k[1-7]", output("objdump", "-d", "--no-show-raw-insn", path)
        )


@pytest.mark.parametrize("target", ["avx2", "avx512"])
def test_wide_targets_share_no_function_with_the_rest(target):
    """The linker keeps one copy of a weak function: one compiled for AVX-512 would then run everywhere."""
    for path in objects(f"mmreg_{target}.dir"):
        weak = re.findall(r"^[0-9a-f]+ [WV] (.+)$", output("nm", "-C", path), re.M)
        shared = [name for name in weak if f"mmreg::{target}::" not in name and not name.startswith("DW.ref")]
        assert not shared, path.name


def test_this_is_the_installed_package():
    """`make test` runs on the wheel; a developer's PYTHONPATH=runtime runs on the tree, and is told so."""
    import mmreg_rt

    if Path(mmreg_rt.__file__).is_relative_to(ROOT / "runtime"):
        pytest.skip("running on the source tree, not on an installed wheel")
    assert Path(mmreg_rt.__file__).is_relative_to(sys.prefix)
