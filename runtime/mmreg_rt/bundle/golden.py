"""The golden pair of a bundle: two small network inputs and what the network must make of them."""

from __future__ import annotations

import ast
import io
import math
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BundleError
from ..geometry.rigid_motion import corners_mm, distance_mm
from .manifest import FIELDS, MAX_GOLDEN_BYTES, RIGID
from .network_output import what_is_wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from ..geometry import Array, Float32
    from .manifest import Manifest

    class TestedBundle(Protocol):
        @property
        def manifest(self) -> Manifest: ...

        def golden(self) -> GoldenPair: ...


ARRAYS = ("fixed", "moving", "output")
_HEADER_BYTES = 1024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class GoldenPair:
    """Network inputs ``fixed`` and ``moving``, ``(D, H, W)`` float32 in [0, 1], and what the network gives.

    ``output`` is float32, without the leading axis of one batch: ``(channels, D, H, W)`` for fields, in
    voxels; for a descriptor that of ``fixed``; for rigid motions
    ``(networks, 6)``. In 2-D: ``(channels, H, W)``, and inputs with ``D = 1``.
    """

    fixed: Float32
    moving: Float32
    output: Float32


def golden_bytes(fixed: Array, moving: Array, output: Array) -> bytes:
    """The file ``golden.npz``: the same bytes for the same arrays.

    Args:
        fixed: ``(D, H, W)``, network input; kept as float32.
        moving: As ``fixed``.
        output: What the network gave, with or without the leading axis of one batch; float16 stays float16.
    """
    kept = output if output.dtype == np.float16 else np.asarray(output, np.float32)
    arrays = np.asarray(fixed, np.float32), np.asarray(moving, np.float32), kept
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as file:
        for name, array in zip(ARRAYS, arrays, strict=True):
            member = io.BytesIO()
            np.save(member, np.ascontiguousarray(array), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return made.getvalue()


def read_golden(data: bytes, manifest: Manifest) -> GoldenPair:
    """The pair in a file of these bytes, as ``golden_bytes`` or ``numpy.savez`` write it.

    Raises:
        BundleError: It is damaged, or not what the manifest says.
    """
    try:
        arrays = _arrays(data)
    except (ValueError, TypeError, KeyError, OSError, EOFError, OverflowError, SyntaxError) as reason:
        raise _refusal(str(reason)[:120] or type(reason).__name__) from reason
    except (zipfile.BadZipFile, zlib.error, RuntimeError, RecursionError, MemoryError) as reason:
        raise _refusal(str(reason)[:120] or type(reason).__name__) from reason
    fixed, moving, output = (arrays[name] for name in ARRAYS)
    if output.ndim > 1 and output.shape[0] == 1 and output.ndim == manifest.dims + 2:
        output = output[0]
    if fixed.ndim != 3 or fixed.shape != moving.shape or (manifest.dims == 2) != (fixed.shape[0] == 1):
        raise _refusal(f"inputs of shapes {fixed.shape} and {moving.shape}")
    multiple = manifest.preprocess.multiple
    if any(n % multiple for n in fixed.shape[3 - manifest.dims :]):
        raise _refusal(f"inputs of shape {fixed.shape}, no multiples of {multiple}")
    for name, array in zip(ARRAYS, (fixed, moving, output), strict=True):
        if not np.isfinite(array).all():
            raise _refusal(f"values of {name} that are not finite")
    return GoldenPair(fixed, moving, output)


def self_test(
    bundle: TestedBundle,
    infer: Callable[[Mapping[str, Float32]], Array],
    precision: str = "fp32",
    stage: int = 0,
) -> float:
    """How far what ``infer`` makes of the golden pair is from what it should be, at the worst voxel.

    Args:
        bundle: Gives the manifest and the golden pair.
        infer: A session's ``infer``: inputs by name, ``(1, 1, D, H, W)`` float32, or ``(1, 1, H, W)`` in 2-D.
        precision: Which limit holds.
        stage: Of a rigid bundle, which of its networks.

    Returns:
        mm for displacements and velocities: the length of the difference, times the spacing of the network's
        grid, or 1 mm where that is the fixed scan's. mm for rigid motions: how far a corner of the window
        comes to lie. For other outputs the largest difference of any number.

    Raises:
        BundleError: The output has another shape, is not finite, or is further off than the limit.
    """
    manifest, pair = bundle.manifest, bundle.golden()
    limit = manifest.golden.limit_mm.get(precision)
    if limit is None:
        raise BundleError(
            "MMREG_E_BUNDLE_PRECISION",
            f"{manifest.name!r} has {', '.join(manifest.precisions)}; asked was {precision!r}. Choose "
            "one of these.",
        )
    expected = pair.output if manifest.rigid is None else pair.output[stage]
    found = np.asarray(infer(_inputs(pair, manifest)))
    what = f"The self-test of {manifest.name!r} {manifest.version} in {precision}"
    if found.shape != (1, *expected.shape):
        raise BundleError(
            "MMREG_E_SELFTEST_SHAPE",
            f"{what} gave an output of shape {found.shape}; it must be {(1, *expected.shape)}. Do "
            "not use it with this backend.",
        )
    if not np.isfinite(found).all():
        raise BundleError(
            "MMREG_E_SELFTEST_NOT_FINITE",
            f"{what} gave {int((~np.isfinite(found)).sum())} of {found.size} numbers that are not "
            "finite: the network is at fault, or this backend. Do not use them together.",
        )
    for of, numbers in (("its golden pair", expected), ("the network", found)):
        if wrong := what_is_wrong(numbers, numbers.size, manifest.output.kind):
            raise BundleError(
                "MMREG_E_SELFTEST_LIMIT",
                f"{what} found {of} at fault: it {wrong}. Do not use the bundle; ask the one who made it.",
            )
    spacing_mm, rigid = manifest.preprocess.spacing_mm or 1.0, manifest.rigid
    window = None if rigid is None else (rigid.size, rigid.spacing_mm)
    figure = distance(found[0], expected, manifest.output.kind, spacing_mm, window)
    if not figure <= limit:
        unit = " mm" if manifest.output.kind in (*FIELDS, RIGID) else ""
        raise BundleError(
            "MMREG_E_SELFTEST_LIMIT",
            f"{what} is off by {figure:.3g}{unit}; allowed are {limit:.3g}{unit}. Do not use it with "
            "this backend and precision.",
        )
    return figure


def _inputs(pair: GoldenPair, manifest: Manifest) -> dict[str, Float32]:
    """The inputs by name, as the network takes them."""
    names = ("image",) if manifest.output.kind == "descriptor" else ("fixed", "moving")
    images = (pair.fixed, pair.moving)
    first = 3 - manifest.dims  # a single slice loses its axis
    return {
        name: np.ascontiguousarray(image.reshape(1, 1, *image.shape[first:]))
        for name, image in zip(names, images, strict=False)
    }


def distance(
    found: Array,
    expected: Array,
    kind: str,
    spacing_mm: float,
    window: tuple[tuple[int, int, int], tuple[float, ...]] | None = None,
) -> float:
    """Return how far one output is from another, at the worst voxel, as ``self_test`` does.

    Args:
        found: Without the leading axis of one batch.
        expected: The same.
        kind: Of the output, as in a manifest.
        spacing_mm: Of the network's grid; of fields.
        window: Voxels and spacing in mm of the window of rigid motions.
    """
    if window is not None:
        return float(distance_mm(found, expected, corners_mm(*window)).max())
    difference = found.astype(np.float64) - expected
    if kind not in FIELDS:
        return float(np.abs(difference).max())
    return float(np.sqrt((difference**2).sum(axis=0)).max()) * spacing_mm


def _arrays(data: bytes) -> dict[str, Float32]:
    """The arrays of an ``.npz``, with every size checked before anything of it is made."""
    end = data[-22:]
    # zipfile makes an object for each entry it is told of, here or in the larger record before
    if (
        len(end) < 22
        or end[:4] != b"PK\5\6"
        or end[10] > len(ARRAYS)
        or end[11]
        or data[-42:-38] == b"PK\6\7"
    ):
        raise ValueError("no .npz of three arrays")
    if int.from_bytes(end[12:16], "little") > 4096:
        raise ValueError("a list of files too long")
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = {info.filename: info for info in file.infolist()}
        if set(members) != {f"{name}.npy" for name in ARRAYS}:
            raise ValueError(f"the files {sorted(members)}")
        if sum(info.file_size for info in members.values()) > MAX_GOLDEN_BYTES:
            raise ValueError(f"more than {MAX_GOLDEN_BYTES} bytes unpacked")
        # other methods take memory and time by what their own headers say, and raise errors of their own
        if odd := [info.filename for info in members.values() if info.compress_type not in _METHODS]:
            raise ValueError(f"{odd[0]} packed by a method other than none and deflate")
        return {name: _array(file, members[f"{name}.npy"], name) for name in ARRAYS}


def _array(file: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Float32:
    """One ``.npy`` (NEP 1, version 1.0), read without trusting its header."""
    with file.open(info) as stream:
        content = stream.read(info.file_size)
        if len(content) != info.file_size or stream.read(1):
            raise ValueError(f"{name} of another size than its list says")
    begin = 10 + int.from_bytes(content[8:10], "little")
    if content[:8] != b"\x93NUMPY\1\0" or begin > _HEADER_BYTES:
        raise ValueError(f"{name} in no .npy of version 1.0")
    header = ast.literal_eval(content[10:begin].decode("latin1").strip())
    shape, dtype = header["shape"], header["descr"]
    allowed = ("<f2", "<f4") if name == "output" else ("<f4",)
    whole = isinstance(shape, tuple) and all(type(n) is int and n > 0 for n in shape)
    if header["fortran_order"] or dtype not in allowed or not whole or not 0 < len(shape) <= 6:
        raise ValueError(f"{name} of type {str(dtype)[:20]} and shape {str(shape)[:80]}")
    if math.prod(shape) * int(dtype[-1]) != len(content) - begin:
        raise ValueError(f"{name} of shape {str(shape)[:80]} in {len(content) - begin} bytes")
    made: Float32 = np.frombuffer(content, dtype, offset=begin).reshape(shape).astype(np.float32)
    return made


def _refusal(found: str) -> BundleError:
    return BundleError(
        "MMREG_E_BUNDLE_GOLDEN",
        f"The golden pair of a bundle holds the arrays {', '.join(ARRAYS)} of its network; found "
        f"{found}. Write it with golden_bytes.",
    )
