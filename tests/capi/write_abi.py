"""The binary interface of the C library as abidw describes it, and the stored one.

    PYTHONPATH=tests python -m capi.write_abi

stores the interface anew, as a release does that has appended fields or functions. It needs libabigail.

The interface is read from the debugging information of the sources of ``cpp_ext/capi`` alone, as the library
itself is stripped.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from fixtures.c_library import HEADERS, ROOT, run, tool

SOURCES = ROOT / "cpp_ext" / "capi"
STORED = Path(__file__).with_name("abi.xml")
# only what a host sees, without places in the sources
OPTIONS = (
    "--drop-private-types",
    "--drop-undefined-syms",
    "--exported-interfaces-only",
    "--no-show-locs",
    "--no-corpus-path",
    "--no-comp-dir-path",
    "--no-elf-needed",
    "--no-parameter-names",
    "--type-id-style",
    "hash",
)


def describe(folder: Path, headers: Path = HEADERS, *flags: str) -> Path:
    """Return the file that describes the interface of ``headers``, written to ``folder``."""
    source, library, out = folder / "all.cpp", folder / "libmmreg.so.1", folder / "abi.xml"
    source.write_text("".join(f'#include "{path}"\n' for path in sorted(SOURCES.glob("*.cpp"))))
    words = ["-std=c++17", "-g", "-fPIC", "-fvisibility=hidden", '-DMMREG_VERSION="0"', *flags]
    links = ["-shared", "-Wl,-soname,libmmreg.so.1", f"-Wl,--version-script={SOURCES / 'mmreg.map'}"]
    run(
        tool("g++"),
        *words,
        "-I",
        ROOT / "cpp_ext",
        "-I",
        headers,
        source.name,
        *links,
        "-o",
        library,
        cwd=folder,
    )
    run(tool("abidw"), "--headers-dir", headers, *OPTIONS, "--out-file", out, library)
    return out


def remove_appended(described: Path, stored: Path = STORED) -> None:
    """Remove from a description the fields that were appended to structures, which the interface allows.

    A field is appended if it begins where the structure ended: one in its padding would not change
    struct_size, so the library could not tell whether a host has it. abidiff has a suppression for appended
    fields, but 2.2 then also ignores fields whose type has changed.
    """
    tree, before = ET.parse(described), _structures(ET.parse(stored))
    for name, structure in _structures(tree).items():
        end = _bits(before[name], "size-in-bits") if name in before else None
        if end is None or _bits(structure, "size-in-bits") < end:
            continue
        for member in structure.findall("data-member"):
            if _bits(member, "layout-offset-in-bits") >= end:
                structure.remove(member)
        structure.set("size-in-bits", str(end))
    tree.write(described)


def _structures(tree: ET.ElementTree) -> dict[str, ET.Element]:
    """Return the structures that have fields, by name."""
    return {e.attrib["name"]: e for e in tree.iter("class-decl") if e.find("data-member") is not None}


def _bits(element: ET.Element, attribute: str) -> int:
    return int(element.attrib[attribute])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        STORED.write_bytes(describe(Path(folder)).read_bytes())
