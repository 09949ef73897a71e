"""``mmreg series``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..text.printable import printable
from .options import FILE, FOLDER, choice_of, json_option, reading_options, threads_option
from .terminal import print_json, print_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..geometry import Float32, Float64, Volume
    from ..io.series import Stream
    from ..io.stack import Stack
    from ..motion import Followed, RunningMean
    from ..registrar import Registrar
    from ..text.json_values import Json
    from ..transform import Affine
    from .output_folder import Output
    from .progress import Progress

FORMAT, RECORD = "mmreg-series/1", "series.json"
TABLE, PICTURE, CORRECTED = "motion.tsv", "motion.svg", "corrected.nii.gz"
BEFORE, AFTER = "mean_before.nii.gz", "mean_after.nii.gz"
COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "framewise_displacement")


class Reference(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """The number of a frame, or ``mean``."""

    name = "frame"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Return the number; None for the mean."""
        if value == "mean":
            return None
        if not value.isdecimal():
            self.fail(f"{value!r} is neither the number of a frame, counted from 0, nor mean.", param, ctx)
        return int(value)


@click.command()
@click.argument("source", metavar="SERIES", type=FILE)
@click.option("-o", "--output", "folder", type=FOLDER, required=True,
              help="Folder for the results; created if missing.")  # fmt: skip
@click.option("--reference", type=Reference(), default="0", show_default=True,
              help="What frames are registered to: a frame by its number, or the mean of the frames after a "
              "first pass.")  # fmt: skip
@click.option("--align", type=click.Choice(("rigid", "affine")), default="rigid", show_default=True,
              help="Kind of motion.")  # fmt: skip
@click.option("--deform/--no-deform", default=False, show_default=True,
              help="Also undo a deformation of each frame.")  # fmt: skip
@reading_options
@threads_option
@json_option
def series(
    source: Path, folder: Path, reference: int | None, align: str, deform: bool, threads: int | None,
    as_json: bool, **reading: Any,
) -> None:  # fmt: skip
    """Measure and undo the motion in SERIES, an image of several frames (4-D).

    Writes motion.tsv (shifts in mm and angles in radians that map the reference to each frame, about the
    middle of the grid, and the framewise displacement of Power et al. in mm), motion.svg, corrected.nii.gz
    (all frames with their motion undone), mean_before.nii.gz, mean_after.nii.gz and series.json.
    """
    from ..io.series import stream
    from ..registrar import Registrar
    from .output_folder import output
    from .progress import Progress

    names = (TABLE, PICTURE, CORRECTED, BEFORE, AFTER, RECORD)
    progress = Progress(quiet=as_json)
    with output(folder, names, [source], (RECORD,)) as place:
        frames = stream(source, choice_of(reading))
        _check_frames(frames.count, reference, source)
        run = Run(frames, Registrar(align=align, deform=deform, threads=threads), place, progress)
        try:
            record = run.finish(reference)
        finally:
            progress.close()
    if as_json:
        print_json(record)
        return
    print_message("\n".join(_lines(record, folder)))


def _check_frames(count: int, reference: int | None, source: Path) -> None:
    from ..errors import InputError

    if count < 2 or (reference is not None and reference >= count):
        raise InputError(
            "MMREG_E_SERIES",
            f"{source} has {count} frames, numbered from 0; "
            + ("a series has at least 2. Use `mmreg register` for two scans." if count < 2 else
               f"--reference is {reference}. Choose one of them, or mean."),
        )  # fmt: skip


@dataclass
class Run:
    """One series on its way through the command."""

    frames: Stream | Stack
    registrar: Registrar
    place: Output
    progress: Progress

    def finish(self, reference: int | None) -> dict[str, Json]:
        """Follow the series, write everything, and return the content of ``series.json``."""
        from ..io.series import write_stream
        from ..motion import RunningMean

        partial, before, after = self.place.partial, RunningMean(), RunningMean()
        still = self._frame(0 if reference is None else reference, before)
        if reference is None:
            still = self._mean(still)
        motions: list[Affine] = []

        def corrected() -> Iterator[Float32]:
            for one in self._followed("align", still, reference):
                motions.append(one.motion)
                yield after.add(one.warped)

        write_stream(corrected(), self.frames, self.frames.grid, partial / CORRECTED)
        self._write_mean(before, BEFORE)
        self._write_mean(after, AFTER)
        return self._write_motion(motions, reference)

    def _frame(self, number: int, mean: RunningMean) -> Volume:
        """Return one frame, and take the mean of all on the way."""
        from ..geometry import Volume

        found = None
        for at, frame in enumerate(self.frames.frames()):
            mean.add(frame.as_float32())
            if at == number:
                found = Volume(frame.as_float32(), frame.grid)
            self.progress("read", at / self.frames.count)
        assert found is not None
        return found

    def _mean(self, still: Volume) -> Volume:
        """Return the mean of all frames as they lie on the first one."""
        from ..geometry import Volume
        from ..motion import RunningMean

        mean = RunningMean()
        for one in self._followed("first pass", still, 0):
            mean.add(one.warped)
        return Volume(mean.mean(), still.grid)

    def _followed(self, stage: str, still: Volume, same: int | None) -> Iterator[Followed]:
        from ..motion import follow

        for number, one in enumerate(follow(self.frames, still, self.registrar, same), 1):
            self.progress(stage, number / self.frames.count)
            yield one

    def _write_mean(self, mean: RunningMean, name: str) -> None:
        from .. import io
        from ..geometry import Volume

        io.write_image(Volume(mean.mean(), self.frames.grid), self.place.partial / name)

    def _write_motion(self, motions: list[Affine], reference: int | None) -> dict[str, Json]:
        """Write table, picture and record."""
        from ..motion import HEAD_MM, framewise_displacement_mm, rigid_parameters
        from .motion_plot import motion_svg

        grid, partial = self.frames.grid, self.place.partial
        centre_mm = grid.map_indices([(np.array(grid.shape) - 1) / 2])[0]
        parameters = np.array([rigid_parameters(motion, centre_mm) for motion in motions])
        moved_mm = framewise_displacement_mm(parameters)
        (partial / TABLE).write_text(_table(parameters, moved_mm), "utf-8")
        (partial / PICTURE).write_text(motion_svg(parameters, moved_mm), "utf-8")
        summary = {
            "format": FORMAT,
            "status": "ok",
            "frames": len(motions),
            "reference": "mean" if reference is None else reference,
            "centre_mm": centre_mm.tolist(),
            "head_radius_mm": HEAD_MM,
            "framewise_displacement_mean_mm": float(np.nanmean(moved_mm)),
            "framewise_displacement_max_mm": float(np.nanmax(moved_mm)),
            "motions": [motion.matrix.tolist() for motion in motions],
        }
        written: dict[str, Json] = self.place.write_record(summary, RECORD)
        self.place.commit(RECORD)
        return written


def _table(parameters: Float64, moved_mm: Float64) -> str:
    """Return the rows as BIDS has them: tab-separated, n/a for what is unknown."""
    rows = ["\t".join(COLUMNS)]
    for row, moved in zip(parameters, moved_mm, strict=True):
        last = "n/a" if np.isnan(moved) else f"{moved:.6f}"
        rows.append("\t".join([*(f"{value:.8f}" for value in row), last]))
    return "\n".join(rows) + "\n"


def _lines(record: dict[str, Any], folder: Path) -> list[str]:
    mean_mm, most_mm = (record[f"framewise_displacement_{which}_mm"] for which in ("mean", "max"))
    return [
        f"{record['frames']} frames, registered to {_named(record['reference'])}",
        f"  framewise displacement  {mean_mm:.3f} mm in the mean, {most_mm:.3f} mm at most",
        f"Results: {printable(str(folder))}",
    ]


def _named(reference: int | str) -> str:
    return "their mean" if reference == "mean" else f"frame {reference}"
