"""Hosts built with an earlier header keep working: its declarations stay, and structures grow at the end."""

import platform
import re
import subprocess

import pytest
from capi.write_abi import STORED, describe, remove_appended
from fixtures.c_library import HEADERS, tool

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the stored interface is that of x86-64"
)
APPENDED = (r"(uint64_t sequence;)", r"\1 double later; int64_t more[2];")


def differences(folder, replaced=None, *flags):
    """Return what abidiff reports between the stored interface and this one, in which a text is replaced."""
    headers = folder / "headers"
    headers.mkdir()
    text = (HEADERS / "mmreg.h").read_text()
    for before, after in replaced or ():
        text, count = re.subn(before, after, text)
        assert count == 1, before
    (headers / "mmreg.h").write_text(text)
    described = describe(folder, headers, *flags)
    remove_appended(described)
    words = [tool("abidiff"), "--no-added-syms", STORED, described]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert not done.returncode & 3, done.stderr  # 1 and 2: abidiff itself failed
    return done.stdout if done.returncode else ""


def test_the_interface_is_the_stored_one(tmp_path):
    assert not differences(tmp_path)


def test_the_stored_one_is_small_and_names_no_place():
    assert STORED.stat().st_size < 60_000
    assert "/" not in re.sub(r"</|/>", "", STORED.read_text())


def test_fields_may_be_appended(tmp_path):
    assert not differences(tmp_path, [APPENDED])


def test_functions_may_be_added(tmp_path):
    added = r"\1\nMMREG_API inline __attribute__((used)) int mmreg_later(void) { return 0; }"
    assert not differences(tmp_path, [(r"(MMREG_API uint32_t mmreg_abi_version\(void\);)", added)])


@pytest.mark.parametrize(
    ("replaced", "reported"),
    [
        pytest.param([(r"int32_t tracked;", "uint32_t tracked;")], "tracked", id="type"),
        pytest.param([("nmi_before, nmi_after", "nmi_after, nmi_before")], "nmi_before", id="order"),
        pytest.param([(r"int32_t tracked;", "int32_t tracked, x, y;")], "int32_t x", id="inserted"),
        pytest.param(
            [APPENDED, (r"int32_t tracked;", "uint32_t tracked;")], "tracked", id="appended-and-type"
        ),
        pytest.param([(r"(int32_t refine;)", r"\1 int32_t x;")], "int32_t x", id="in-the-padding"),
        pytest.param(
            [(r"int32_t level, const char\* code", "int64_t level, const char* code")],
            "level|mmreg_log",
            id="callback",
        ),
    ],
)
def test_anything_else_is_reported(tmp_path, replaced, reported):
    assert re.search(reported, differences(tmp_path, replaced))


def test_a_lost_function_is_reported(tmp_path):
    assert "mmreg_version" in differences(tmp_path, None, "-Dmmreg_version=mmreg_renamed")
