"""HDF5 files are read in a process of their own: the HDF5 library crashes on some that are damaged.

The other process sends a line of JSON, then the arrays of the transform as ``numpy.save`` writes them.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import errors
from ..geometry import Grid
from ..process import interpreter
from ..transform import Affine, Composite, DisplacementField, Rigid, Transform
from ..transform.spline import SplineField
from . import files
from .extras import library
from .hdf5 import SIGNATURE, damaged

if TYPE_CHECKING:
    from ..geometry import Array

MAX_SECONDS = 600
_CHILD = "import sys; sys.path[:] = {paths!r}; from {here} import main; main({module!r}, {path!r})"


def read(path: Path, module: str) -> Transform:
    """Read a transform by the function ``parse`` of a module of this package, in another process.

    Raises:
        TransformError: The file is damaged, or crashed the library.
        BackendUnavailableError: h5py is not installed.
    """
    library("h5py", "formats", path)
    with files.open_regular(path) as stream:
        if stream.read(len(SIGNATURE)) != SIGNATURE:
            raise damaged(path, "the mark of HDF5 at its start")
        stream.seek(0)
        code = _CHILD.format(paths=interpreter.import_path(), here=__name__, module=module, path=str(path))
        try:
            done = subprocess.run(
                [interpreter.python(), "-c", code],
                stdin=stream,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                timeout=MAX_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise damaged(path, f"a structure that is read within {MAX_SECONDS} s") from None
    if done.returncode:
        raise damaged(path, f"a readable structure (the library ended with {done.returncode})")
    return _received(io.BytesIO(done.stdout))


def main(module: str, path: str) -> None:
    """Read the file on standard input and send the transform, or why it cannot be read."""
    out = sys.stdout.buffer
    try:
        parse = import_module(f".{module}", __package__).parse
        transform = parse(open(0, "rb", closefd=False), Path(path))  # noqa: SIM115
    except errors.MmregError as reason:
        answer = {"error": [type(reason).__name__, reason.code, reason.args[0]]}
        out.write(json.dumps(answer).encode() + b"\n")
        return
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    arrays = io.BytesIO()  # some versions of numpy cannot write to a pipe
    for part in parts:
        for array in _arrays(part):
            np.save(arrays, np.ascontiguousarray(array), allow_pickle=False)
    out.write(json.dumps({"parts": [type(part).__name__ for part in parts]}).encode() + b"\n")
    out.write(arrays.getvalue())


def _arrays(part: Transform) -> list[Array]:
    if isinstance(part, Affine):
        return [part.matrix]
    if isinstance(part, DisplacementField):
        return [part.displacement_mm, part.grid.affine]
    assert isinstance(part, SplineField)
    return [part.coefficients_mm, part.lattice.affine, np.array(part.domain.shape), part.domain.affine]


def _received(answer: io.BytesIO) -> Transform:
    head = json.loads(answer.readline())
    if "error" in head:
        kind, code, message = head["error"]
        raise getattr(errors, kind)(code, message)
    parts = [_part(kind, answer) for kind in head["parts"]]
    return parts[0] if len(parts) == 1 else Composite(tuple(parts))


def _part(kind: str, answer: io.BytesIO) -> Transform:
    def array() -> Any:
        return np.load(answer, allow_pickle=False)

    if kind in ("Affine", "Rigid"):
        return (Rigid if kind == "Rigid" else Affine)(array())
    values = array()
    grid = Grid(values.shape[1:], array())
    if kind == "DisplacementField":
        return DisplacementField(values, grid)
    shape = array()
    return SplineField(values, grid, Grid(tuple(shape.tolist()), array()))
