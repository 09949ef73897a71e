"""The software bills of materials of the wheel and of the C library are valid, and name what is there."""

import hashlib
import json
import re
from importlib import metadata
from pathlib import Path

import pytest
from fixtures.c_library import BUILD, run, tool

import mmreg_rt

GLIBC = {
    "libc.so.6",
    "libm.so.6",
    "libpthread.so.0",
    "libdl.so.2",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
}


def of_wheel():
    """Return the path of the one in the metadata of the installed wheel."""
    try:
        files = metadata.files("mmreg-rt") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if re.search(r"\.dist-info/sboms/[^/]+\.cdx\.json$", str(file)):
            return Path(file.locate())
    pytest.skip("the wheel is not installed")


def of_c_library(installed):
    """Return the path of the one beside the licence of the installed C library."""
    return installed("prefix").include.parent / "share" / "doc" / "libmmreg1" / "libmmreg.cdx.json"


@pytest.fixture(params=("wheel", "C library"))
def text(request, installed):
    return (of_wheel() if request.param == "wheel" else of_c_library(installed)).read_text()


def components(path, use):
    found = json.loads(path.read_text())["components"]
    return {c["name"]: c for c in found if {"name": "mmreg:use", "value": use} in c["properties"]}


def detail(component):
    (value,) = [p["value"] for p in component["properties"] if p["name"] == "mmreg:detail"]
    return value


def test_it_is_valid(text):
    cyclonedx = pytest.importorskip(
        "cyclonedx.validation.json", reason="cyclonedx-python-lib is not installed"
    )
    from cyclonedx.exception import MissingOptionalDependencyException
    from cyclonedx.schema import SchemaVersion

    validator = cyclonedx.JsonStrictValidator(SchemaVersion.V1_6)
    try:
        assert validator.validate_str(text) is None
        assert validator.validate_str(text.replace('"library"', '"thing"')) is not None  # it does look
    except MissingOptionalDependencyException as reason:
        pytest.skip(str(reason))


def test_names_are_used_once_and_each_has_a_licence(text):
    found = json.loads(text)
    names = [component["bom-ref"] for component in found["components"]]
    assert len(set(names)) == len(names)
    assert found["dependencies"] == [{"ref": found["metadata"]["component"]["bom-ref"], "dependsOn": names}]
    for component in found["components"]:
        assert component["licenses"][0]["expression"]


def test_the_wheel_needs_what_its_metadata_says():
    needed = {c: detail(v) for c, v in components(of_wheel(), "required").items() if c != "glibc"}
    required = [line for line in metadata.requires("mmreg-rt") if "extra ==" not in line]
    assert sorted(needed.values()) == sorted(required)


def test_the_wheel_names_the_weights_it_holds():
    folder = Path(mmreg_rt.__file__).parent / "bundles"
    held = {p.name: f"SHA-256 {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in folder.glob("*.mmreg")}
    models = components(of_wheel(), "static").items()
    assert {name: detail(c) for name, c in models if c["type"] == "machine-learning-model"} == held


def test_the_c_library_needs_glibc_alone_and_holds_what_is_named(installed):
    path, library = of_c_library(installed), installed("prefix").library
    dynamic = run(tool("readelf"), "-d", library)
    assert set(re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic)) <= GLIBC
    assert set(components(path, "required")) == {"glibc"}
    assert set(components(path, "optional")) == {"openvino", "onnxruntime"}
    built_with = re.search(r"CMAKE_CXX_COMPILER_VERSION \"([^\"]+)\"", _compiler()).group(1)
    assert {c["version"] for c in components(path, "static").values()} == {built_with}


def _compiler():
    (found,) = BUILD.glob("CMakeFiles/*/CMakeCXXCompiler.cmake")
    return found.read_text()
