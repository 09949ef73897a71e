"""What is fuzzed: every reader, fed with bytes under a name; and valid files to start from."""

from __future__ import annotations

import functools
import gzip
import io
import struct
import tempfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_inputs import image_files
from bad_inputs.files import header, nifti
from fixtures.formats import READERS, WRITERS, any_image
from fixtures.m3z import m3z
from PIL import Image

from mmreg_rt import Grid, read_points, read_transform
from mmreg_rt.errors import MmregError
from mmreg_rt.io import endings

# What a reader may allocate: a constant, and a multiple of what the file really holds when it is unpacked.
# The worst are points, 24 bytes each from six of a file, and voxels that are scaled to float64.
BOUND_BYTES, BOUND_TIMES = 4 << 20, 16
UNPACKED_LIMIT = 1 << 24
COMPRESS = 128  # from here on the first byte asks for the rest to be compressed


def _places(reader: Callable, suffixes: tuple[str, ...]) -> tuple[int, ...]:
    """Return where the reader stands in ``READERS`` with each of these endings."""
    return tuple(READERS.index((reader, f"a{suffix}")) for suffix in suffixes)


# Readers by the kind of their files, so that each kind may be given a time of its own
KINDS = {
    "nifti": _places(any_image, endings.FIELDS),
    "image": _places(any_image, endings.IMAGES[len(endings.FIELDS) :]),
    "field": _places(read_transform, endings.FIELDS),
    "transform": _places(read_transform, endings.MATRICES),
    "dialect": _places(read_transform, endings.DIALECTS),
    "points": _places(read_points, endings.POINTS),
}


def feed(data: bytes, folder: Path) -> str:
    """Let the reader that the first byte chooses read the rest; the code it refused with, or ``"read"``.

    From ``COMPRESS`` on the first byte asks to compress the rest: mutations then reach what is inside.
    """
    reader, name = READERS[data[0] % len(READERS)] if data else READERS[0]
    content = data[1:]
    if data[:1] >= bytes([COMPRESS]) and name.endswith(".gz"):
        content = gzip.compress(content, 1, mtime=0)
    path = folder / name
    path.write_bytes(content)
    if not tracemalloc.is_tracing():
        tracemalloc.start()  # once: starting and stopping it keeps some memory each time
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    try:
        reader(path)
        code = "read"
    except MmregError as refusal:
        code = refusal.code
    peak = tracemalloc.get_traced_memory()[1] - before
    bound = BOUND_BYTES + BOUND_TIMES * unpacked_bytes(content)
    assert peak <= bound, f"{name} of {len(content)} bytes: {peak} bytes allocated, bound {bound}"
    return code


def unpacked_bytes(content: bytes) -> int:
    """Size of the content, unpacked if it is gzip, as far as it can be."""
    if content[:2] != b"\x1f\x8b":
        return len(content)
    try:
        return len(zlib.decompressobj(wbits=31).decompress(content, UNPACKED_LIMIT))
    except zlib.error:
        return UNPACKED_LIMIT


def picture(ending: str) -> bytes:
    """Return a small picture of 16 bits, or of 8 as JPEG."""
    made, grey = io.BytesIO(), np.arange(60, dtype=np.uint8 if "j" in ending else np.uint16).reshape(6, 10)
    kind = {"p": "PNG", "t": "TIFF", "j": "JPEG"}[ending[1]]
    Image.fromarray(grey).save(made, kind)
    return made.getvalue()


def seeds(folder: Path | None = None) -> list[bytes]:  # noqa: ARG001 (as those of bundles)
    """Valid files of each kind, with the byte before them that chooses the reader."""
    extension = struct.pack("<ii", 32, 6) + b"comment".ljust(24, b"\0")
    images = [
        nifti(),
        nifti((5, 4)),
        nifti((3, 3, 3, 2), np.float32, scl_slope=0.5, scl_inter=3),
        nifti(flag=b"\1\0\0\0", extensions=extension),
        header(order=">") + bytes(4 + 48),
        header(version=2) + bytes(4 + 48),
        nifti(qform_code=0, sform_code=2, xyzt_units=3),
        nifti(sform_code=0, pixdim={0: -1}, quatern_b=0.5, quatern_c=0.5, quatern_d=0.5),
    ]
    fields = [nifti((3, 4, 2, 1, 3), np.float32, intent_code=code) for code in (1006, 1007)]
    heading = "#Insight Transform File V1.0\n"
    transforms = [
        heading
        + "#Transform 0\nTransform: AffineTransform_double_3_3\nParameters: 1 0 0 0 1 0 0 0 1 2e0 -3.5 .5\n"
        "FixedParameters: 1 2 3\n",
        heading
        + "Transform: Euler3DTransform_double_3_3\nParameters: 0.1 0.2 0.3 1 2 3\nFixedParameters: 0 0 0 1\n",
        heading + "Transform: CompositeTransform_double_3_3\nTransform: TranslationTransform_double_3_3\n"
        "Parameters: 1 2 3\nFixedParameters:\nTransform: VersorRigid3DTransform_float_3_3\n"
        "Parameters: 0.1 0.2 0.3 1 2 3\nFixedParameters: 0 0 0\n",
    ]
    texts = [transform.encode() for transform in transforms]
    name, fixed = b"AffineTransform_double_3_3\0", b"fixed\0"
    parameters = (2, 0, 0, 0, 2, 0, 0, 0, 2, 4, 5, 6)
    mats = [
        struct.pack(order + "5i", kind, 12, 1, 0, len(name)) + name + struct.pack(order + "12d", *parameters)
        + struct.pack(order + "5i", kind, 3, 1, 0, len(fixed)) + fixed + struct.pack(order + "3d", 1, 2, 3)
        for order, kind in (("<", 0), (">", 1000))
    ]  # fmt: skip
    points = [b"x,y,z\n1,2,3\n-4.5,6e1,.7\n"]
    nrrds = [
        image_files.nrrd(),
        image_files.nrrd(encoding="gzip"),
        image_files.nrrd(space_units='"cm" "cm" "cm"'),
    ]
    metas = [image_files.meta(), image_files.meta(CompressedData="True"), image_files.meta(HeaderSize="-1")]
    mghs = [image_files.mgh(), image_files.mgh((4, 3, 1, 2), code=10)]
    packed = [gzip.compress(image, mtime=0) for image in images[:3]]
    return [
        *_for(any_image, ".nii", images),
        *_for(any_image, ".nii.gz", packed),
        *_for(any_image, ".nii.gz", images, compress=True),
        *(seed for ending in (".nrrd", ".nhdr") for seed in _for(any_image, ending, nrrds)),
        *(seed for ending in (".mha", ".mhd") for seed in _for(any_image, ending, metas)),
        *_for(any_image, ".mgh", mghs),
        *_for(any_image, ".mgz", [gzip.compress(image, mtime=0) for image in mghs]),
        *(seed for ending in endings.PICTURES for seed in _for(any_image, ending, [picture(ending)])),
        *_for(read_transform, ".nii", fields),
        *_for(read_transform, ".nii.gz", [gzip.compress(field, mtime=0) for field in fields]),
        *_for(read_transform, ".nii.gz", fields, compress=True),
        *_for(read_transform, ".tfm", texts),
        *_for(read_transform, ".txt", texts[:1]),
        *_for(read_transform, ".mat", mats),
        *(seed for ending in endings.DIALECTS for seed in _for(read_transform, ending, [_written(ending)])),
        *_for(read_points, ".csv", points),
    ]


@functools.cache
def _written(ending: str) -> bytes:
    """Return a valid file of a transform in the format of an ending."""
    if ending == ".m3z":
        grid = Grid((2, 3, 4), np.eye(4))
        return m3z(np.argwhere(np.ones((4, 3, 2))).reshape(4, 3, 2, 3) + 0.5, grid, grid)
    write = next(write for write, name in WRITERS if name == f"a{ending}")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / f"a{ending}")
        return (Path(folder) / f"a{ending}").read_bytes()


def _for(reader: Callable, ending: str, contents: list[bytes], compress: bool = False) -> list[bytes]:
    """Put the byte before the contents that chooses this reader."""
    (place,) = _places(reader, (ending,))
    byte = place + compress * -(-COMPRESS // len(READERS)) * len(READERS)
    return [bytes([byte]) + content for content in contents]
