"""Other registration programs behind one interface: ``go()`` registers, ``field(result)`` reads the result.

Only ``go`` is timed. A field is ``u`` (X, Y, Z, 3), in voxels of the fixed grid in RAS+ axis order. Settings
are those of the peer study, one generic setting per program, never changed per task. None of these programs
is a dependency: ``why_missing`` reports which are not installed, and how to install them.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.folding import read_field

Array = NDArray[Any]


@dataclass(frozen=True)
class Pair:
    """One task, and a folder for temporary files."""

    fixed: Path
    moving: Path
    folder: Path  # empty, for temporary files
    threads: int
    align: str  # "none": on one grid already; "affine": as scanned


@dataclass(frozen=True)
class Method:
    """A registration: ``go`` runs it; ``field`` converts its result to ``u``."""

    go: Callable[[], Any]
    field: Callable[[Any], Array]


def from_itk(path: Path | str) -> Array:
    return read_field(Path(path))[0]


def from_simpleitk(image: Any, folder: Path) -> Array:
    import SimpleITK as sitk

    sitk.WriteImage(image, str(folder / "field.nii.gz"))
    return from_itk(folder / "field.nii.gz")


def ants(pair: Pair) -> Method:
    """Create ANTs SyN with Mattes information (Avants et al. 2008), iterations 100 x 70 x 50 x 20."""
    import ants as library

    fixed, moving = library.image_read(str(pair.fixed)), library.image_read(str(pair.moving))
    start = {"type_of_transform": "SyNOnly", "initial_transform": "identity"}
    if pair.align == "affine":
        start = {"type_of_transform": "SyN"}
    settings = {"syn_metric": "mattes", "syn_sampling": 32, "reg_iterations": (100, 70, 50, 20)}
    prefix = str(pair.folder / "ants")

    def go() -> list[str]:
        result = library.registration(fixed, moving, **start, **settings, outprefix=prefix)
        return list(result["fwdtransforms"])

    def field(transforms: list[str]) -> Array:
        warps = [t for t in transforms if t.endswith("Warp.nii.gz")]
        if pair.align == "none":
            return from_itk(warps[0])
        whole = library.apply_transforms(fixed, moving, transforms, compose=prefix + "whole")
        return from_itk(whole)

    return Method(go, field)


def greedy(pair: Pair) -> Method:
    """Create greedy with NMI (Yushkevich et al.), 100 x 50 x 20, images passed in memory."""
    import SimpleITK as sitk
    from picsl_greedy import Greedy3D

    images = {"fixed": sitk.ReadImage(str(pair.fixed), sitk.sitkFloat32)}
    images["moving"] = sitk.ReadImage(str(pair.moving), sitk.sitkFloat32)
    common = f"-i fixed moving -m NMI -threads {pair.threads} -V 0"

    # files, as greedy cannot take an initial affine, or a field in a chain, from memory
    pose, bend, whole = (pair.folder / name for name in ("pose.mat", "bend.nii.gz", "whole.nii.gz"))

    def go() -> Any:
        program, start = Greedy3D(), ""
        if pair.align == "affine":
            program.execute(f"{common} -a -dof 12 -ia-image-centers -n 100x50x20 -o {pose}", **images)
            start = f"-it {pose}"
        program.execute(f"{common} -n 100x50x20 -s 2.0vox 0.7vox {start} -o bend", **images, bend=None)
        return program["bend"]

    def field(image: Any) -> Array:
        if pair.align == "none":
            return from_simpleitk(image, pair.folder)
        sitk.WriteImage(image, str(bend))
        Greedy3D().execute(f"-rf fixed -r {bend} {pose} -rc {whole} -V 0", fixed=images["fixed"])
        return from_itk(whole)

    return Method(go, field)


def convexadam(pair: Pair) -> Method:
    """Create convexAdam with MIND (Siebert et al. 2021), its defaults, float32; needs scans on one grid."""
    import torch
    from convexAdam.convex_adam_MIND import convex_adam_pt

    from benchmarks.harness.scoring import read

    if pair.align != "none":
        raise ValueError("convexAdam has no affine stage: it needs a pair on one grid")
    torch.set_num_threads(pair.threads)
    fixed, moving = (read(path).values for path in (pair.fixed, pair.moving))
    return Method(
        lambda: convex_adam_pt(fixed, moving, dtype=torch.float32), lambda u: np.asarray(u, np.float64)
    )


ELASTIX = """
(Registration "MultiMetricMultiResolutionRegistration")
(Transform "BSplineTransform")
(FinalGridSpacingInPhysicalUnits 10.0)
(Metric "AdvancedMattesMutualInformation" "TransformBendingEnergyPenalty")
(Metric0Weight 1.0)
(Metric1Weight 0.5)
(NumberOfHistogramBins 32)
(Optimizer "AdaptiveStochasticGradientDescent")
(AutomaticParameterEstimation "true")
(MaximumNumberOfIterations 500)
(NumberOfResolutions 4)
(FixedImagePyramid "FixedSmoothingImagePyramid")
(MovingImagePyramid "MovingSmoothingImagePyramid")
(ImageSampler "RandomCoordinate")
(NumberOfSpatialSamples 5000)
(NewSamplesEveryIteration "true")
(Interpolator "LinearInterpolator")
(ResampleInterpolator "FinalBSplineInterpolator")
(BSplineInterpolationOrder 1)
(FinalBSplineInterpolationOrder 1)
(Resampler "DefaultResampler")
(HowToCombineTransforms "Compose")
(FixedImageDimension 3)
(MovingImageDimension 3)
(FixedInternalImagePixelType "float")
(MovingInternalImagePixelType "float")
(UseDirectionCosines "true")
(WriteResultImage "false")
"""


def elastix(pair: Pair) -> Method:
    """Create elastix B-spline with Mattes information and bending energy (Klein et al. 2010)."""
    import SimpleITK as sitk

    if pair.align != "none":
        raise ValueError("the elastix recipe here has no affine stage: it needs a pair on one grid")
    if not shutil.which("elastix"):
        raise FileNotFoundError("elastix is not on the PATH; install the package elastix of Debian or Ubuntu")
    parameters = pair.folder / "parameters.txt"
    parameters.write_text(ELASTIX)
    out = ["-out", str(pair.folder)]
    scans = ["-f", str(pair.fixed), "-m", str(pair.moving), "-threads", str(pair.threads)]

    def go() -> Path:
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "check": True}
        subprocess.run(["elastix", *scans, "-p", str(parameters), *out], **quiet)
        transform = str(pair.folder / "TransformParameters.0.txt")
        subprocess.run(["transformix", "-def", "all", "-tp", transform, *out], **quiet)
        return pair.folder / "deformationField.mhd"

    return Method(go, lambda path: from_simpleitk(sitk.ReadImage(str(path)), pair.folder))


PEERS: dict[str, Callable[[Pair], Method]] = {
    "greedy": greedy,
    "convexadam": convexadam,
    "ants": ants,
    "elastix": elastix,
}
PACKAGES = {"greedy": "picsl-greedy", "convexadam": "convexAdam", "ants": "antspyx"}


def installed_version(peer: str) -> str | None:
    """Return the version of a peer, or None if it is not installed."""
    if peer == "elastix":
        if not shutil.which("elastix"):
            return None
        return subprocess.run(["elastix", "--version"], capture_output=True, text=True).stdout.split()[-1]
    try:
        return version(PACKAGES[peer])
    except PackageNotFoundError:
        return None


def why_missing(peer: str) -> str | None:
    """Return how to install a peer that is missing, else None."""
    if installed_version(peer):
        return None
    how = "the package elastix of Debian or Ubuntu" if peer == "elastix" else f"pip install {PACKAGES[peer]}"
    return f"not installed: {how}"
