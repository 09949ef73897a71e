"""``mmreg convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..io import endings
from ..text.printable import printable
from .options import FILE, json_option, prefer_option
from .terminal import print_json, print_message

if TYPE_CHECKING:
    from ..io.nifti import Form
    from ..transform import Transform

FORMAT = "mmreg-convert/1"
_DIALECTS = click.Choice(endings.DIALECT_NAMES)


@click.command()
@click.argument("sources", type=FILE, nargs=-1, required=True)
@click.argument("output", type=FILE)
@click.option("--to", "to", type=_DIALECTS, help="Program to write for. Default: by the ending of OUTPUT.")
@click.option(
    "--from",
    "origin",
    type=_DIALECTS,
    help="Program that wrote the sources, for matrices of bare numbers: fsl, niftyreg or afni.",
)
@click.option(
    "--fixed",
    type=FILE,
    help="Fixed scan, for formats that count in its voxels. A field is sampled on it.",
)
@click.option("--moving", type=FILE, help="Moving scan, for formats that count in its voxels.")
@click.option("--inverse", is_flag=True, help="Write the inverse, from moving to fixed points.")
@prefer_option
@click.option("--overwrite", is_flag=True, help="Replace the output file even if another program wrote it.")
@json_option
def convert(
    sources: tuple[Path, ...],
    output: Path,
    to: str | None,
    origin: str | None,
    fixed: Path | None,
    moving: Path | None,
    inverse: bool,
    prefer: Form | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Convert the transform in SOURCES to OUTPUT.

    Several sources are a chain: the first is applied to points of the fixed scan first, as in the -t options
    of antsApplyTransforms and of mmreg warp. FLIRT matrices, fields of FNIRT, LTA files and registration
    objects of DICOM need --fixed and --moving; mmreg inspect says what a file means.
    """
    from .. import io
    from ..transform import Composite
    from .outfile import output_file
    from .scans import with_preference

    def read(path: Path) -> Transform:
        return with_preference(
            lambda form: io.read_transform(path, prefer=form, dialect=origin, fixed=fixed, moving=moving),
            prefer,
        )

    scans = [scan for scan in (fixed, moving) if scan is not None]
    with output_file(output, [*sources, *scans], overwrite) as partial:
        parts = [read(source) for source in sources]
        transform = parts[0] if len(parts) == 1 else Composite(tuple(parts))
        transform = transform.inverse() if inverse else transform
        io.write_transform(transform, partial, dialect=to, fixed=fixed, moving=moving)
    if as_json:
        print_json({"format": FORMAT, "status": "ok", "written": str(output)})
    else:
        print_message(f"Wrote {printable(str(output))}")
