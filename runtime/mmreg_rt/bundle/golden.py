"""The golden pair of a bundle: two small network inputs and the expected output."""

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
        """The part of a bundle that the self-test needs."""

        @property
        def manifest(self) -> Manifest: ...

        def golden(self) -> GoldenPair: ...


ARRAYS = ("fixed", "moving", "output")
_HEADER_BYTES = 1024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class GoldenPair:
    """Network inputs and the expected output.

    Attributes:
        fixed: ``(D, H, W)`` float32 in [0, 1]; ``D = 1`` in 2-D.
        moving: As ``fixed``.
        output: float32, without the batch axis: ``(channels, D, H, W)``, in 2-D ``(channels, H, W)``, in
            voxels for fields; for a descriptor that of ``fixed``; for rigid motions ``(networks, 6)``.
    """

    fixed: Float32
    moving: Float32
    output: Float32


def golden_bytes(fixed: Array, moving: Array, output: Array) -> bytes:
    """Return the content of ``golden.npz``; equal arrays give equal bytes.

    Args:
        fixed: ``(D, H, W)``, network input; kept as float32.
        moving: As ``fixed``.
        output: Output of the network, with or without the batch axis; float16 stays float16.
    """
    kept = output if output.dtype == np.float16 else np.asarray(output, np.float32)
    arrays = np.asarray(fixed, np.float32), np.asarray(moving, np.float32), kept
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        for name, array in zip(ARRAYS, arrays, strict=True):
            member = io.BytesIO()
            np.save(member, np.ascontiguousarray(array), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return content.getvalue()


def read_golden(data: bytes, manifest: Manifest) -> GoldenPair:
    """Read the content of ``golden.npz``, as ``golden_bytes`` or ``numpy.savez`` write it.

    Raises:
        BundleError: It is damaged, or does not match the manifest.
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
    """Run a network on the golden pair and return its deviation from the expected output.

    Args:
        bundle: Provides the manifest and the golden pair.
        infer: A session's ``infer``: inputs by name, ``(1, 1, D, H, W)`` float32, or ``(1, 1, H, W)`` in 2-D.
        precision: Precision whose limit applies.
        stage: Index of the network in a rigid bundle.

    Returns:
        The largest deviation: for displacements and velocities the length of a difference in mm, with the
        spacing of the network's grid, or 1 mm if that is the fixed scan's; for rigid motions the distance in
        mm between corners of the window; for other outputs the difference of two numbers.

    Raises:
        BundleError: The output has another shape, is not finite, or deviates more than the limit.
    """
    manifest, pair = bundle.manifest, bundle.golden()
    limit = manifest.golden.limit_mm.get(precision)
    if limit is None:
        raise BundleError(
            "MMREG_E_BUNDLE_PRECISION",
            f"{manifest.name!r} has {', '.join(manifest.precisions)}; {precision!r} was requested. Choose "
            "one of these.",
        )
    expected = pair.output if manifest.rigid is None else pair.output[stage]
    output = np.asarray(infer(_inputs(pair, manifest)))
    test = f"The self-test of {manifest.name!r} {manifest.version} in {precision}"
    if output.shape != (1, *expected.shape):
        raise BundleError(
            "MMREG_E_SELFTEST_SHAPE",
            f"{test} gave an output of shape {output.shape}; it must be {(1, *expected.shape)}. Do not use "
            "it with this backend.",
        )
    if not np.isfinite(output).all():
        raise BundleError(
            "MMREG_E_SELFTEST_NOT_FINITE",
            f"{test} gave {int((~np.isfinite(output)).sum())} of {output.size} numbers that are not finite: "
            "the network or this backend is at fault. Do not use them together.",
        )
    for name, numbers in (("its golden pair", expected), ("the network", output)):
        if fault := what_is_wrong(numbers, numbers.size, manifest.output.kind):
            raise BundleError(
                "MMREG_E_SELFTEST_LIMIT",
                f"{test} found {name} at fault: it {fault}. Do not use the bundle; ask its author.",
            )
    spacing_mm, rigid = manifest.preprocess.spacing_mm or 1.0, manifest.rigid
    window = None if rigid is None else (rigid.size, rigid.spacing_mm)
    deviation = distance(output[0], expected, manifest.output.kind, spacing_mm, window)
    if not deviation <= limit:
        unit = " mm" if manifest.output.kind in (*FIELDS, RIGID) else ""
        raise BundleError(
            "MMREG_E_SELFTEST_LIMIT",
            f"{test} is off by {deviation:.3g}{unit}; the limit is {limit:.3g}{unit}. Do not use it with "
            "this backend and precision.",
        )
    return deviation


def _inputs(pair: GoldenPair, manifest: Manifest) -> dict[str, Float32]:
    """Return the inputs by name, in the shape that the network takes."""
    names = ("image",) if manifest.output.kind == "descriptor" else ("fixed", "moving")
    images = (pair.fixed, pair.moving)
    first = 3 - manifest.dims  # a single slice loses its axis
    return {
        name: np.ascontiguousarray(image.reshape(1, 1, *image.shape[first:]))
        for name, image in zip(names, images, strict=False)
    }


def distance(
    output: Array,
    expected: Array,
    kind: str,
    spacing_mm: float,
    window: tuple[tuple[int, int, int], tuple[float, ...]] | None = None,
) -> float:
    """Return the largest deviation of one output from another, as ``self_test`` defines it.

    Args:
        output: Output of a network, without the batch axis.
        expected: The output it is compared with.
        kind: Kind of output, as in a manifest.
        spacing_mm: Spacing of the network's grid, for fields.
        window: Voxels and spacing in mm of the window, for rigid motions.
    """
    if window is not None:
        return float(distance_mm(output, expected, corners_mm(*window)).max())
    difference = output.astype(np.float64) - expected
    if kind not in FIELDS:
        return float(np.abs(difference).max())
    return float(np.sqrt((difference**2).sum(axis=0)).max()) * spacing_mm


def _arrays(data: bytes) -> dict[str, Float32]:
    """Read the arrays of an ``.npz``, checking every size before anything is allocated."""
    end = data[-22:]
    # zipfile makes an object for each announced entry, here or in the zip64 record before
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
        # the headers of other methods could demand any memory and time
        if odd := [info.filename for info in members.values() if info.compress_type not in _METHODS]:
            raise ValueError(f"{odd[0]} packed by a method other than none and deflate")
        return {name: _array(file, members[f"{name}.npy"], name) for name in ARRAYS}


def _array(file: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Float32:
    """Read one ``.npy`` (NEP 1, version 1.0) without trusting its header."""
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
    array: Float32 = np.frombuffer(content, dtype, offset=begin).reshape(shape).astype(np.float32)
    return array


def _refusal(found: str) -> BundleError:
    return BundleError(
        "MMREG_E_BUNDLE_GOLDEN",
        f"A golden pair must hold the arrays {', '.join(ARRAYS)} of its network; found {found}. Write it "
        "with golden_bytes.",
    )
