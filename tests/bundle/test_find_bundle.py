"""The name of a built-in bundle means that bundle, whatever lies in the working directory."""

import shutil
from pathlib import Path

import pytest

from mmreg_rt.errors import InputError
from mmreg_rt.network.trust import BUNDLES, built_in, find_bundle

pytestmark = pytest.mark.skipif(not built_in(), reason="no bundle comes with this build")


@pytest.fixture
def name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return built_in()[0]


def test_a_folder_of_that_name_changes_nothing(name):
    Path(name).mkdir()  # such as the results of a run
    assert find_bundle(name) == BUNDLES / f"{name}.mmreg"


@pytest.mark.parametrize(
    "make", [lambda p: p.write_bytes(b"a zip"), lambda p: shutil.copytree(BUNDLES / f"{p}.mmreg", p)]
)
def test_a_bundle_of_that_name_is_not_chosen_in_silence(name, make):
    if not (BUNDLES / f"{name}.mmreg").is_dir():
        (Path(name)).mkdir()
        (Path(name) / "manifest.json").write_text("{}")
    else:
        make(Path(name))
    with pytest.raises(InputError, match="MMREG_E_MODEL_AMBIGUOUS") as refusal:
        find_bundle(name)
    assert f"./{name}" in str(refusal.value)
    assert find_bundle(f"./{name}") == Path(name)
    assert find_bundle(Path(name)) == Path(name)
    assert find_bundle(BUNDLES / f"{name}.mmreg") == BUNDLES / f"{name}.mmreg"
