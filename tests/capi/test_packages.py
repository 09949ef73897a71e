"""What lies in the packages: each file where it belongs, and none twice."""

import tarfile

import pytest
from fixtures.c_library import BUILD, LAYOUTS, run, tool

DEVELOPMENT = {
    "mmreg.h",
    "mmreg.hpp",
    "libmmreg.so",
    "mmreg.pc",
    "mmregConfig.cmake",
    "mmregConfigVersion.cmake",
    "mmregTargets.cmake",
    "mmregTargets-release.cmake",
}
LIBRARY = {"libmmreg.so.1", "LICENSE", "NOTICE", "libmmreg.cdx.json"}


@pytest.fixture(scope="module")
def packages(installed, tmp_path_factory):
    """The packages by the first word of their names, made from build/capi."""
    folder = tmp_path_factory.mktemp("packages")
    installed("prefix")  # skips without the build
    run(tool("cpack"), "--config", BUILD / "CPackConfig.cmake", "-B", folder / "out")
    return {path.name.partition("_")[0]: path for path in (folder / "out").iterdir() if path.is_file()}


def files_of(package):
    """Return the names of files and links in a Debian package."""
    lines = run(tool("dpkg-deb"), "-c", package).splitlines()
    names = [line.partition(" ./")[2].partition(" -> ")[0] for line in lines]
    return {name.rpartition("/")[2] for name in names if not name.endswith("/")}


def field(package, name):
    return run(tool("dpkg-deb"), "-f", package, name).strip()


def test_the_library_and_what_builds_with_it_are_two_packages(packages):
    tool("dpkg-deb")
    assert files_of(packages["libmmreg1"]) == LIBRARY
    assert files_of(packages["libmmreg-dev"]) == DEVELOPMENT


def test_the_packages_depend_on_the_c_library_and_on_each_other_alone(packages):
    tool("dpkg-deb")
    version = field(packages["libmmreg1"], "Version")
    assert field(packages["libmmreg1"], "Depends").split()[0] == "libc6"
    assert "," not in field(packages["libmmreg1"], "Depends")
    assert field(packages["libmmreg-dev"], "Depends") == f"libmmreg1 (= {version})"


def test_the_tarball_has_the_files_of_both_and_keeps_the_link(packages):
    (archive,) = [path for path in packages.values() if path.name.endswith(".tar.gz")]
    with tarfile.open(archive) as tar:
        members = [member for member in tar.getmembers() if not member.isdir()]
    assert sorted(member.name.rpartition("/")[2] for member in members) == sorted(LIBRARY | DEVELOPMENT)
    assert [member.linkname for member in members if member.issym()] == ["libmmreg.so.1"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_names_the_place_where_it_was_built(installed, layout):
    place = installed(layout)
    texts = [
        *place.include.glob("mmreg.h*"),
        *place.pkgconfig_dir.glob("mmreg.pc"),
        *place.library.parent.glob("cmake/mmreg/*.cmake"),
        place.library,
    ]
    assert len(texts) >= 8
    assert not [path.name for path in texts if str(BUILD.parents[1]).encode() in path.read_bytes()]


def test_in_the_wheel_a_linker_script_stands_for_the_link(installed):
    folder = installed("wheel").library.parent
    assert (folder / "libmmreg.so").read_text() == "INPUT(libmmreg.so.1)\n"
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
