"""``mmreg evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import FILE, choice_of, json_option, reading_options
from .terminal import print_json, print_result

if TYPE_CHECKING:
    from ..geometry import Volume
    from ..io.images import Choice
    from ..transform import Transform

FORMAT = "mmreg-evaluate/1"


@click.command()
@click.option("--transform", type=FILE, help="Transform from fixed to moving points. Default: the identity.")
@click.option("--fixed-labels", type=FILE, help="Label map of the fixed scan.")
@click.option("--moving-labels", type=FILE, help="Label map of the moving scan.")
@click.option("--fixed-points", type=FILE, help="Landmarks in the fixed scan, CSV x,y,z in RAS+ mm.")
@click.option("--moving-points", type=FILE, help="The same landmarks in the moving scan.")
@reading_options
@json_option
def evaluate(transform: Path | None, as_json: bool, **options: Any) -> None:
    """Score a transform: Dice and HD95 of labels, landmark error (TRE), folding.

    Labels of the moving scan are warped onto the fixed grid; landmarks of the fixed scan are mapped to the
    moving scan.
    """
    files: dict[str, Path | None] = {
        name: options[name] for name in ("fixed_labels", "moving_labels", "fixed_points", "moving_points")
    }
    for what in ("labels", "points"):
        if (files[f"fixed_{what}"] is None) != (files[f"moving_{what}"] is None):
            raise click.UsageError(f"Give both --fixed-{what} and --moving-{what}.")
    if transform is None and files["fixed_labels"] is None and files["fixed_points"] is None:
        raise click.UsageError(
            "Nothing to evaluate: give a transform, two label maps or two lists of points."
        )
    scores = _scores(transform, files, _Reader(choice_of(options)))
    if as_json:
        print_json({"format": FORMAT, "status": "ok", **scores})
    else:
        print_result("\n".join(_lines(scores)))


class _Reader:
    """Reads files with the options of the command."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice

    def scan(self, path: Path) -> Volume:
        from .scans import read_scan

        return read_scan(path, self._choice)

    def transform(self, path: Path | None) -> Transform:
        """Read the transform of the file, or return the identity."""
        import numpy as np

        from ..transform import Rigid
        from .scans import read_transform

        return Rigid(np.eye(4)) if path is None else read_transform(path, self._choice.prefer)


def _scores(path: Path | None, files: dict[str, Path | None], read: _Reader) -> dict[str, Any]:
    from ..report import plain

    transform = read.transform(path)
    scores: dict[str, object] = {}
    if files["fixed_labels"] is not None and files["moving_labels"] is not None:
        scores["labels"] = _labels(
            transform, read.scan(files["fixed_labels"]), read.scan(files["moving_labels"])
        )
    if files["fixed_points"] is not None and files["moving_points"] is not None:
        scores["landmarks"] = _landmarks(transform, files["fixed_points"], files["moving_points"])
    if path is not None and transform.default_grid() is not None:
        folding = transform.folding()
        scores["folding"] = {"folded_voxels": folding.folded_voxels, "min_jacobian": folding.min_jacobian}
    return plain(scores)  # type: ignore[no-any-return]


def _labels(transform: Transform, reference: Volume, moving: Volume) -> dict[str, object]:
    import numpy as np

    from .. import metrics

    warped = transform.warp_labels(moving, reference)
    dice, hd95 = metrics.dice(reference, warped), metrics.hd95_mm(reference, warped)
    each = {label: {"dice": dice[label], "hd95_mm": hd95.get(label)} for label in dice}
    distances = list(hd95.values())
    return {
        "mean_dice": float(np.mean(list(dice.values()))) if dice else None,
        "mean_hd95_mm": float(np.mean(distances)) if distances else None,
        "each": each,
    }


def _landmarks(transform: Transform, fixed: Path, moving: Path) -> dict[str, object]:
    import numpy as np

    from .. import io, metrics

    error = metrics.tre_mm(transform, io.read_points(fixed), io.read_points(moving))
    mean, most, largest = error.mean(), np.percentile(error, 95), error.max()
    return {"count": len(error), "mean_mm": mean, "p95_mm": most, "max_mm": largest, "each_mm": error}


def _lines(scores: dict[str, Any]) -> list[str]:
    lines = []
    if "labels" in scores:
        labels = scores["labels"]
        lines += [f"{'label':>8}  {'Dice':>6}  {'HD95':>9}"]
        lines += [
            f"{label:>8}  {one['dice']:6.3f}  {_mm(one['hd95_mm']):>9}"
            for label, one in labels["each"].items()
        ]
        lines += [f"{'mean':>8}  {_number(labels['mean_dice']):>6}  {_mm(labels['mean_hd95_mm']):>9}"]
    if "landmarks" in scores:
        marks = scores["landmarks"]
        mean, most, largest = (_mm(marks[key]) for key in ("mean_mm", "p95_mm", "max_mm"))
        lines += [f"landmarks  {marks['count']}: mean {mean}, 95 % {most}, largest {largest}"]
    if "folding" in scores:
        folding = scores["folding"]
        lines += [f"folding  {folding['folded_voxels']} voxels, smallest Jacobian determinant "
                  f"{folding['min_jacobian']:.3f}"]  # fmt: skip
    return lines


def _mm(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} mm"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
