"""Description of a NIfTI file that cannot be read: its header as it stands, without judging it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MmregError

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

    from ..geometry import Array, Float64

    Facts = dict[str, str | float | list[int] | list[float] | Float64 | None]  # for JSON

FIELDS = {
    1006: "a displacement field, RAS (intent 1006)",
    1007: "vectors, in ITK a displacement field (intent 1007)",
}


def described(path: Path, refusal: MmregError) -> tuple[Facts, list[str], MmregError, bool]:
    """Describe a file that was refused.

    Args:
        path: The file.
        refusal: The error it was refused with.

    Returns:
        Facts for JSON, lines of text, the refusal, and whether the file can be read to its end.

    Raises:
        MmregError: The refusal, if the file has no readable header.
    """
    try:
        header = _header(path)
    except (MmregError, OSError):
        raise refusal from None
    facts, words = _geometry(header)
    values, lines = _values(path)
    return {**facts, **values}, [*words, *lines], refusal, bool(values)


def _header(path: Path) -> Nifti1Header:
    from .header import header_bytes
    from .nifti import raw_header
    from .series import first_bytes

    raw = first_bytes(path)
    version, order = header_bytes(raw[:4], path)
    size = 348 if version == 1 else 540
    return raw_header(raw[:size].ljust(size, b"\0"), version, order)


def _geometry(header: Nifti1Header) -> tuple[Facts, list[str]]:
    count = min(max(int(header["dim"][0]), 0), 7)
    shape = [int(n) for n in header["dim"][1 : 1 + count]]
    spacing = [float(s) for s in header["pixdim"][1 : 1 + min(count, 3)]]
    intent, kind = int(header["intent_code"]), _datatype(header)
    what = FIELDS.get(intent, "an image") if count == 5 else "an image"
    facts: Facts = {
        "kind": "field" if what != "an image" else "image",
        "dim": shape,
        "pixdim": spacing,
        "dtype": kind,
        "intent_code": intent,
    }
    words = [
        f"A NIfTI file that is {what}, as its header says:",
        f"  Voxels   {' x '.join(map(str, shape))} along the axes of the file, {kind}",
        f"  Spacing  {' x '.join(f'{s:g}' for s in spacing)} (pixdim)",
    ]
    for form in ("sform", "qform"):
        code, affine = int(header[f"{form}_code"]), _affine(header, form)
        facts |= {f"{form}_code": code, form: affine}
        words.append(f"  {form.title():<9}{_form_in_words(code, affine)}")
    return facts, words


def _datatype(header: Nifti1Header) -> str:
    from nibabel.nifti1 import data_type_codes

    code = int(header["datatype"])
    try:
        return str(data_type_codes.label[code])
    except KeyError:
        return f"unknown datatype {code}"


def _affine(header: Nifti1Header, form: str) -> Float64 | None:
    with contextlib.suppress(Exception), np.errstate(all="ignore"):  # the header may hold anything
        affine: Float64 = header.get_sform() if form == "sform" else header.get_qform()
        return affine
    return None


def _form_in_words(code: int, affine: Float64 | None) -> str:
    if code <= 0:
        return f"code {code}: not set"
    if affine is None:
        return f"code {code}, but its numbers are not an affine"
    origin = ", ".join(f"{v:.1f}" for v in affine[:3, 3])
    from nibabel.orientations import aff2axcodes

    with contextlib.suppress(Exception), np.errstate(all="ignore"):
        axes = ", ".join(str(code) for code in aff2axcodes(affine))
        return f"code {code}: voxel (0, 0, 0) at ({origin}) mm, axes run to {axes}"
    return f"code {code}: voxel (0, 0, 0) at ({origin}) mm"


def _values(path: Path) -> tuple[Facts, list[str]]:
    """Return the range of the stored values; nothing if the file cannot be read to its end."""
    from . import nifti

    try:
        data = nifti.load(path).array()
    except (MmregError, MemoryError):
        return {}, []
    values, line = value_range(data, " as stored")
    return values, [f"  Values   {line}"]


def value_range(data: Array, note: str = "") -> tuple[Facts, str]:
    """Return the range of the finite values and the number of the others, for JSON and in words."""
    finite = np.isfinite(data)
    wrong = int(data.size - finite.sum())
    low, high = (float(data[finite].min()), float(data[finite].max())) if finite.any() else (None, None)
    words = "none finite" if low is None else f"{low:g} to {high:g}{note}"
    words += f"; {wrong} not finite" if wrong else ""
    return {"min": low, "max": high, "not_finite": wrong}, words
