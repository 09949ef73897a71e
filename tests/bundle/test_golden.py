"""Golden pairs: members are stored or deflated, and nothing else."""

import io
import zipfile

import numpy as np
import pytest
from fixtures import bundle_parts as parts

from mmreg_rt.bundle import open_bundle, write_bundle
from mmreg_rt.errors import BundleError


def packed(method):
    made = io.BytesIO()
    stored = zipfile.ZipFile(io.BytesIO(parts.files()["golden.npz"]))
    with zipfile.ZipFile(made, "w") as file:
        for name in stored.namelist():
            file.writestr(zipfile.ZipInfo(name), stored.read(name), method)
    return made.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_stored_and_deflated_pairs_are_read(method, tmp_path):
    write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files(**{"golden.npz": packed(method)}))
    np.testing.assert_array_equal(open_bundle(tmp_path / "a.mmreg").golden().output, parts.golden_pair()[2])


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_refused_before_they_are_unpacked(method, broken, tmp_path):
    data = bytearray(packed(method))
    if broken:
        at = data.find(b"fixed.npy") + 13
        data[at : at + 5] = b"\xff" * 5
    with pytest.raises(BundleError, match="deflate") as caught:
        write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files(**{"golden.npz": bytes(data)}))
    assert caught.value.code == "MMREG_E_BUNDLE_GOLDEN"


@pytest.mark.parametrize("data", [b"PK\5\6\3\3\3\1\1", b"PK\5\6", b"PK\5\6" + bytes(17), b"P"])
def test_files_shorter_than_the_end_of_a_zip_are_refused(data, tmp_path):
    with pytest.raises(BundleError, match="MMREG_E_BUNDLE_GOLDEN"):
        write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files(**{"golden.npz": data}))
