"""Export of the INNReg translator to ONNX, with a picture of translated scans.

    python -m mmreg_export.innreg_translator RUN -o FOLDER [--pair FIXED MOVING]

RUN is a checkpoint of `mmreg train innreg` or its run folder. FOLDER gets ``translator.onnx`` (from the
moving to the fixed modality) and ``translator_back.onnx`` (from fixed to moving); with a pair also
``translated.png``, computed by these files: above fixed, moving as fixed; below moving, fixed as moving.
Bundles do not need these files: they show what the registration network was trained with.
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
LIMIT = 1e-3  # largest intensity difference of torch and ONNX Runtime: a quarter of a grey level of 255
GREY = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


class OneWay(nn.Module):
    """The translator in one direction, image in and image out."""

    def __init__(self, translator: nn.Module, back: bool) -> None:
        super().__init__()
        self.translator, self.back = translator, back

    def forward(self, image: Tensor) -> Tensor:
        """Translate an image (1, 1, ...) to the other modality."""
        translated: Tensor = self.translator(image, self.back)
        return translated


def export_translator(method: Method, back: bool) -> bytes:
    """Export one direction to ONNX.

    Args:
        method: INNReg, with its weights.
        back: From the fixed to the moving modality.

    Returns:
        A model from ``image`` to ``output``, ``(1, 1, D, H, W)`` or ``(1, 1, H, W)`` float32.

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


def translate(method: Method, model: bytes, back: bool, image: Float32) -> Float32:
    """Translate an image ``(D, H, W)`` with the exported model in ONNX Runtime.

    Raises:
        ParityError: The result differs from that of torch by more than ``LIMIT``.
    """
    keep_onnxruntime_silent()
    import onnxruntime

    shape = (1, 1, *image.shape[3 - method.dims :])
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    result: Float32 = session.run(None, {"image": image.reshape(shape)})[0]
    with torch.no_grad():
        way = OneWay(method.get_submodule("translator"), back).eval()
        expected = way(torch.from_numpy(image.reshape(shape))).numpy()
    difference = float(np.abs(result - expected).max())
    if not difference <= LIMIT:
        raise ParityError(
            "MMREG_E_EXPORT_PARITY",
            f"{FILES[back]} must be within {LIMIT:g} of torch; found {difference:.2g}. Its couplings "
            "amplify rounding errors: train it longer, or with fewer blocks.",
        )
    return result.reshape(image.shape)


def picture(pair: Pair, as_fixed: Float32, as_moving: Float32) -> bytes:
    """Arrange the middle slices of four images as PNG; intensities from 0 to 1."""
    rows = ((pair.fixed, as_fixed), (pair.moving, as_moving))
    slices = np.vstack([np.hstack([image[len(image) // 2, ::-1] for image in row]) for row in rows])
    return encode(np.rint(255 * slices.clip(0, 1)).astype(np.uint8), GREY)


@click.command(help=__doc__)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--pair", type=click.Path(path_type=Path), nargs=2, help="FIXED MOVING, for the picture.")
def main(run: Path, output: Path, pair: tuple[Path, Path] | None) -> None:
    """Export the translator of RUN."""
    refuse_missing("Export", NEEDED, "train", "export")
    trained = read_trained(run)
    files = {FILES[back]: export_translator(trained.method, back) for back in FILES}
    if pair:
        read = read_pair(*pair, trained.spec, trained.method.dims)
        images = [
            translate(trained.method, files[FILES[back]], back, image)
            for back, image in ((False, read.moving), (True, read.fixed))
        ]
        files[PICTURE] = picture(read, images[0], images[1])
    output.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        with atomic_write(output / name) as stream:
            stream.write(data)


if __name__ == "__main__":
    main()
