"""NRRD, MetaImage and MGH files with chosen fields and bytes in them."""

import gzip
import struct
import zlib

import numpy as np

VOXELS = np.arange(24, dtype="<i2").tobytes()
_NRRD = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "4 3 2",
    "space directions": "(1.5,0,0) (0,1,0) (0,0,2)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(1,2,3)",
}
_META = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "1 2 3",
    "ElementSpacing": "1.5 1 2",
    "DimSize": "4 3 2",
    "ElementType": "MET_SHORT",
}


def nrrd(data=None, magic="NRRD0004", **fields):
    """A right file with fields replaced, or left out where they are None; `_` stands for a blank."""
    known = _NRRD | {name.replace("_", " "): value for name, value in fields.items()}
    lines = [magic, *(f"{name}: {value}" for name, value in known.items() if value is not None)]
    packed = known["encoding"] in ("gzip", "gz")
    stored = gzip.compress(VOXELS, mtime=0) if packed else VOXELS
    return "\n".join([*lines, "", ""]).encode() + (stored if data is None else data)


def meta(data=None, **fields):
    """A right file with fields replaced, or left out where they are None."""
    last = {"ElementDataFile": fields.pop("ElementDataFile", "LOCAL")}
    known = _META | fields | last
    lines = [f"{name} = {value}" for name, value in known.items() if value is not None]
    stored = zlib.compress(VOXELS) if known["CompressedData"] == "True" else VOXELS
    return "\n".join([*lines, ""]).encode() + (stored if data is None else data)


def mgh(
    sizes=(4, 3, 2, 1), version=1, code=4, oriented=1, spacing=(1.5, 1, 2), data=None, tail=bytes(20), **more
):
    """A right file with fields replaced."""
    directions, centre = more.get("directions", np.eye(3).ravel()), more.get("centre", (0, 0, 0))
    head = struct.pack(">7ih15f", version, *sizes, code, 0, oriented, *spacing, *directions, *centre)
    stored = np.arange(24, dtype=">i2").tobytes() if data is None else data
    return head.ljust(284, b"\0") + stored + tail


def put(path, content):
    """Write bytes, compressed if the name says so; returns the path."""
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".mgz" else content)
    return path
