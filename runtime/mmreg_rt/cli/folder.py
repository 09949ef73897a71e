"""An output folder that is either complete or says why it is not."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

RESULTS = (
    "warped.nii.gz",
    "transform.nii.gz",
    "inverse.nii.gz",
    "affine.tfm",
    "labels.nii.gz",
    "points.csv",
    "result.json",
    "report.html",
)


@contextmanager
def complete(folder: Path, results: Sequence[str] = RESULTS) -> Iterator[Path]:
    """A hidden folder to write into; its files move to ``folder`` if the block ends well, else they go.

    ``results`` of an earlier run are removed, so that what lies there is of one run. Other files are left
    alone.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        yield partial
        folder.mkdir(exist_ok=True)
        for name in results:
            (folder / name).unlink(missing_ok=True)
        for path in sorted(partial.iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
