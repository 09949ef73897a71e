"""The translator of INNReg as ONNX, and a picture of what it makes of a pair.

    python -m mmreg_export.innreg_translator RUN -o FOLDER [--pair FIXED MOVING]

RUN is a checkpoint of `mmreg train innreg` or its folder. FOLDER gets ``translator.onnx`` (moving scans as
the fixed modality shows them) and ``translator_back.onnx`` (fixed scans as the moving one does); with a pair
also ``translated.png``, made by those files: above fixed, moving as fixed; below moving, fixed as moving. A
bundle has no need of them: they show what the registration network was taught with.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import torch
from torch import Tensor, nn

from mmreg_rt.backends.telemetry import keep_onnxruntime_silent
from mmreg_rt.cli.extras import refuse_missing
from mmreg_rt.errors import InputError
from mmreg_rt.io.files import atomic_write
from mmreg_rt.report.png import encode

from .calibration import Pair, read_pair
from .cli import NEEDED
from .load_checkpoint import read_trained
from .onnx import export_module
from .parity import ParityError

if TYPE_CHECKING:
    from mmreg_rt.geometry import Float32
    from mmreg_train.methods import Method

FILES = {False: "translator.onnx", True: "translator_back.onnx"}
PICTURE = "translated.png"
LIMIT = 1e-3  # of an intensity, between what torch and ONNX Runtime make: a tenth of a shade of grey
GREY = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


class OneWay(nn.Module):
    """The translator in one direction, image in and image out."""

    def __init__(self, translator: nn.Module, back: bool) -> None:
        super().__init__()
        self.translator, self.back = translator, back

    def forward(self, image: Tensor) -> Tensor:
        """The image (1, 1, ...) of the other modality."""
        found: Tensor = self.translator(image, self.back)
        return found


def export_translator(method: Method, back: bool) -> bytes:
    """ONNX of one direction: ``image`` to ``output``, ``(1, 1, D, H, W)`` or ``(1, 1, H, W)`` float32.

    Raises:
        InputError: The method has no translator.
    """
    translator = getattr(method, "translator", None)
    if not isinstance(translator, nn.Module):
        raise InputError(
            "MMREG_E_TRANSLATOR",
            f"The method {method.name!r} has no translator. Give a run of `mmreg train innreg`.",
        )
    way = OneWay(translator, back)
    return export_module(way, ("image",), method.dims, method.multiple, "translator")


def translated(method: Method, model: bytes, back: bool, image: Float32) -> Float32:
    """What the exported direction makes of an image ``(D, H, W)``, in ONNX Runtime.

    Raises:
        ParityError: It is further from what torch makes of it than ``LIMIT``.
    """
    keep_onnxruntime_silent()
    import onnxruntime

    shape = (1, 1, *image.shape[3 - method.dims :])
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found: Float32 = session.run(None, {"image": image.reshape(shape)})[0]
    with torch.no_grad():
        way = OneWay(method.get_submodule("translator"), back).eval()
        expected = way(torch.from_numpy(image.reshape(shape))).numpy()
    apart = float(np.abs(found - expected).max())
    if not apart <= LIMIT:
        raise ParityError(
            "MMREG_E_PARITY",
            f"{FILES[back]} must be within {LIMIT:g} of torch; found {apart:.2g}. Its couplings blow "
            "rounding up: train it longer, or with fewer blocks.",
        )
    return found.reshape(image.shape)


def picture(pair: Pair, as_fixed: Float32, as_moving: Float32) -> bytes:
    """The middle slices of four images side by side, as PNG; intensities from 0 to 1."""
    rows = ((pair.fixed, as_fixed), (pair.moving, as_moving))
    slices = np.vstack([np.hstack([image[len(image) // 2, ::-1] for image in row]) for row in rows])
    return encode(np.rint(255 * slices.clip(0, 1)).astype(np.uint8), GREY)


@click.command(help=__doc__)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--pair", type=click.Path(path_type=Path), nargs=2, help="FIXED MOVING, for the picture.")
def main(run: Path, output: Path, pair: tuple[Path, Path] | None) -> None:
    """See the docstring of this file."""
    refuse_missing("Export", NEEDED, "train", "export")
    trained = read_trained(run)
    files = {FILES[back]: export_translator(trained.method, back) for back in FILES}
    if pair:
        read = read_pair(*pair, trained.spec, trained.method.dims)
        made = [
            translated(trained.method, files[FILES[back]], back, image)
            for back, image in ((False, read.moving), (True, read.fixed))
        ]
        files[PICTURE] = picture(read, made[0], made[1])
    output.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        with atomic_write(output / name) as stream:
            stream.write(data)


if __name__ == "__main__":
    main()
