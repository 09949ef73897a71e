"""Attention maps of Attention-Reg: which part of the other image a voxel attends to.

    python -m mmreg_train.engine.attention_map RUN FIXED MOVING -o attention.png
        [--at Z,Y,X]...

``RUN`` is a run folder or a checkpoint; ``--at`` are voxels of the window, by default its middle. Each row
shows one voxel: the fixed image with the voxel marked, and the moving image with its attention; then the
reverse direction.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import torch

from mmreg_rt import read_image
from mmreg_rt.errors import InputError
from mmreg_rt.geometry import Volume
from mmreg_rt.input_validation import check_intensities
from mmreg_rt.io.files import atomic_write
from mmreg_rt.preprocess import PreprocessSpec, normalise
from mmreg_rt.preprocess.window import scale_jointly, window_grid
from mmreg_rt.transform import Rigid

from ..methods.attention_reg.method import STEP_VOX, AttentionReg
from .checkpoint import checkpoint_path, read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from torch import Tensor

    Voxel = tuple[int, int, int]
    Image = npt.NDArray[np.float32]

CODE = "MMREG_E_ATTENTION_PICTURE"


@torch.no_grad()
def attention_maps(method: AttentionReg, fixed: Tensor, moving: Tensor, voxel: Voxel) -> tuple[Image, Image]:
    """Compute the attention from a voxel of the fixed image to the moving one, and the reverse.

    Args:
        method: In evaluation mode, with attention.
        fixed, moving: ``(1, 1, *window.size)`` float32, preprocessed as for registration.
        voxel: Indices into the window.

    Returns:
        Two maps of ``window.size`` float32: weights of cells, interpolated to voxels, largest 1.

    Raises:
        InputError: The voxel is outside the window, or the network has no attention.
    """
    net, size = method.net, method.window.size
    if net.to_fixed is None or net.to_moving is None:
        raise InputError(CODE, "This network was trained without attention. Give a run with attention.")
    if not all(0 <= at < length for at, length in zip(voxel, size, strict=True)):
        raise InputError(CODE, f"Voxels must lie in the window of {size}; found {voxel}. Change --at.")
    cell = voxel[0] // STEP_VOX[0], voxel[1] // STEP_VOX[1], voxel[2] // STEP_VOX[2]
    one, other = net.features(fixed, moving)
    maps = net.to_moving.weights(other, one, cell), net.to_fixed.weights(one, other, cell)
    images = [torch.nn.functional.interpolate(each[None], size, mode="trilinear")[0, 0] for each in maps]
    to_moving, to_fixed = ((image / image.max()).numpy() for image in images)
    return to_moving, to_fixed


def draw(method: AttentionReg, fixed: Tensor, moving: Tensor, voxels: Sequence[Voxel], path: Path) -> None:
    """Draw the attention of ``voxels``, one per row, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure((12, 3.2 * len(voxels)), layout="constrained")
    axes = figure.subplots(len(voxels), 4, squeeze=False)
    images = fixed[0, 0].numpy(), moving[0, 0].numpy()
    for row, voxel in zip(axes, voxels, strict=True):
        to_moving, to_fixed = attention_maps(method, fixed, moving, voxel)
        _draw_voxel(row[0], images[0], voxel, "fixed")
        _draw_map(row[1], images[1], to_moving, "moving, attention of the fixed voxel")
        _draw_voxel(row[2], images[1], voxel, "moving")
        _draw_map(row[3], images[0], to_fixed, "fixed, attention of the moving voxel")
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", dpi=100)


def _draw_voxel(axis: Any, image: Image, voxel: Voxel, title: str) -> None:
    axis.imshow(image[voxel[0]], cmap="gray", origin="lower")
    axis.plot(voxel[2], voxel[1], "+", color="tab:orange", markersize=14)
    axis.set(title=f"{title}, slice {voxel[0]}", xticks=[], yticks=[])


def _draw_map(axis: Any, image: Image, weights: Image, title: str) -> None:
    """Draw the slice that holds the largest weight."""
    level = int(np.unravel_index(weights.argmax(), weights.shape)[0])
    axis.imshow(image[level], cmap="gray", origin="lower")
    axis.imshow(weights[level], cmap="inferno", alpha=0.5, origin="lower", vmin=0, vmax=1)
    axis.set(title=f"{title}, slice {level}", xticks=[], yticks=[])


def _images(paths: tuple[Path, Path], spec: PreprocessSpec, method: AttentionReg) -> list[Tensor]:
    scans = [check_intensities(read_image(path), None, str(path))[0] for path in paths]
    grid = scans[0].grid
    window = window_grid(grid, spec, grid.centre_mm, method.window.size, method.window.spacing_mm)
    start = np.eye(4)
    start[:3, 3] = scans[1].grid.centre_mm - grid.centre_mm
    resampled = [
        Rigid(matrix).warp(Volume(normalise(scan.as_float32(), spec), scan.grid), window, outside=0).data
        for matrix, scan in zip((np.eye(4), start), scans, strict=True)
    ]
    return [torch.from_numpy(image)[None, None] for image in scale_jointly(resampled[0], resampled[1])]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("scans", type=click.Path(path_type=Path), nargs=2, metavar="FIXED MOVING")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("attention.png"))
@click.option("--at", "places", multiple=True, help="Z,Y,X in voxels of the window; repeatable.")
def main(run: Path, scans: tuple[Path, Path], output: Path, places: tuple[str, ...]) -> None:
    """Draw the attention of the network of RUN on two scans whose centres are aligned."""
    checkpoint = read_checkpoint(checkpoint_path(run))
    method = checkpoint.method()
    if not isinstance(method, AttentionReg):
        raise InputError(CODE, f"{run} is a run of {method.name}. Give a run of attention_reg.")
    images = _images(scans, PreprocessSpec.from_dict(checkpoint.facts["preprocess"]), method)
    voxels = [tuple(int(part) for part in place.split(",")) for place in places]
    middle = tuple(length // 2 for length in method.window.size)
    draw(method, images[0], images[1], voxels or [middle], output)  # type: ignore[arg-type]
    click.echo(f"wrote {output}")


if __name__ == "__main__":
    main()
